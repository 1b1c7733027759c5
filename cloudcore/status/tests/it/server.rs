//! A pod and its node's Lease over HTTP, with resourceVersions: all of the API server that a report needs.

use std::sync::{Arc, Mutex};

use cloudcore_kube::Client;
use kit::tasks::Group;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What somebody else does.
type Change = fn(&mut Cluster);

/// What there is, and what was asked.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) pod: Value,
    pub(crate) epoch: u64,
    /// Method and path of every request.
    pub(crate) asked: Vec<String>,
    /// Changes the cluster as soon as this is asked.
    pub(crate) meanwhile: Option<(&'static str, Change)>,
}

/// The server; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) cluster: Arc<Mutex<Cluster>>,
    pub(crate) client: Client,
    _running: Group,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start(pod: Value, epoch: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cluster = Cluster { pod, epoch, asked: Vec::new(), meanwhile: None };
        let cluster = Arc::new(Mutex::new(cluster));
        let (running, connections) = (Group::new("server", 1), Group::new("connections", 100));
        let served = Arc::clone(&cluster);
        running.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let cluster = Arc::clone(&served);
                connections.spawn(async move { serve(stream, &cluster).await });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        let client = Client::connect(Some(&path)).await.unwrap();
        Self { cluster, client, _running: running, _folder: folder }
    }
}

impl Cluster {
    /// Somebody else writes the status.
    pub(crate) fn write(&mut self, status: Value) {
        let version: u64 = self.pod["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        self.pod["metadata"]["resourceVersion"] = json!((version + 1).to_string());
        self.pod["status"] = status;
    }

    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let asked = format!("{method} {path}");
        self.asked.push(asked.clone());
        let lease = path.contains("/leases/");
        let answer = match method {
            "GET" if lease => {
                let epoch = self.epoch.to_string();
                (200, json!({"metadata": {"annotations": {"skerry.io/epoch": epoch}}}))
            }
            "GET" => (200, self.pod.clone()),
            _ => {
                let sent: Value = serde_json::from_slice(body).unwrap();
                if sent["metadata"]["resourceVersion"] == self.pod["metadata"]["resourceVersion"] {
                    let mut status = self.pod["status"].as_object().cloned().unwrap_or_default();
                    status.extend(sent["status"].as_object().cloned().unwrap());
                    self.write(Value::Object(status));
                    (200, self.pod.clone())
                } else {
                    (409, json!({"reason": "Conflict", "message": "changed"}))
                }
            }
        };
        if let Some((_, change)) = self.meanwhile.take_if(|(when, _)| asked.contains(*when)) {
            change(self);
        }
        answer
    }
}

/// One request a connection.
async fn serve(mut stream: TcpStream, cluster: &Mutex<Cluster>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (code, answer) = cluster.lock().unwrap().answer(method, path, &body);
    let answer = answer.to_string();
    let head = format!("HTTP/1.1 {code} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
}
