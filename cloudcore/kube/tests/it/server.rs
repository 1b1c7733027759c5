//! An HTTP server with a script: each request gets the next answer of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use cloudcore_kube::Client;
use kit::tasks::Group;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a request gets.
pub(crate) enum Answer {
    /// A status and a body.
    Whole(u16, String),
    /// Lines, after which the answer ends.
    Lines(Vec<String>),
    /// Lines, after which nothing comes any more.
    Open(Vec<String>),
}

/// The server, and what it was asked.
pub(crate) struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    pub(crate) client: Client,
    _running: Group,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start(script: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let running = Group::new("server", 1);
        let (seen, connections) = (Arc::clone(&asked), Group::new("connections", 100));
        running.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                connections.spawn(async move { serve(stream, &seen, &script).await });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let config = format!(
            "{{apiVersion: v1, kind: Config, clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], \
             users: [{{name: u, user: {{}}}}], contexts: [{{name: x, context: {{cluster: c, user: u}}}}], \
             current-context: x}}"
        );
        std::fs::write(&path, config).unwrap();
        let client = Client::connect(Some(&path)).await.unwrap();
        Self { asked, client, _running: running, _folder: folder }
    }

    /// Paths and queries of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request a connection.
async fn serve(mut stream: TcpStream, asked: &Mutex<Vec<String>>, script: &Mutex<VecDeque<Answer>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    asked.lock().unwrap().push(head.split(' ').nth(1).unwrap().to_owned());
    let answer = script.lock().unwrap().pop_front();
    let (code, body, open) = match answer {
        Some(Answer::Whole(code, body)) => (code, body, false),
        Some(Answer::Lines(lines)) => (200, lines.join("\n") + "\n", false),
        Some(Answer::Open(lines)) => (200, lines.join("\n") + "\n", true),
        None => std::future::pending().await,
    };
    let head = format!("HTTP/1.1 {code} x\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    if open {
        std::future::pending::<()>().await;
    }
}
