//! Leases with resourceVersions, over HTTP: all of the API server that a session needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use cloudcore_kube::Client;
use kit::tasks::Group;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Who wrote, by the header that says as whom.
    users: Vec<String>,
    /// Paths that were read.
    reads: Vec<String>,
    /// Paths that may not be read.
    forbidden: BTreeSet<String>,
    /// Reads of Nodes that got no answer, while there are none.
    held_back: Option<usize>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Leases {
    store: Arc<Mutex<Store>>,
    _running: Group,
}

const COLLECTION: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

impl Leases {
    pub(crate) async fn start(folder: &std::path::Path) -> (Self, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = Arc::new(Mutex::new(Store::default()));
        let (running, connections) = (Group::new("server", 1), Group::new("connections", 100));
        let served = Arc::clone(&store);
        running.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let store = Arc::clone(&served);
                connections.spawn(async move { serve(stream, &store).await });
            }
        });
        let path = folder.join("kubeconfig");
        let config = format!(
            "{{apiVersion: v1, kind: Config, clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], \
             users: [{{name: u, user: {{}}}}], contexts: [{{name: x, context: {{cluster: c, user: u}}}}], \
             current-context: x}}"
        );
        std::fs::write(&path, config).unwrap();
        (Self { store, _running: running }, Client::connect(Some(&path)).await.unwrap())
    }

    pub(crate) fn lease(&self, node: &str) -> Value {
        self.store.lock().unwrap().objects[&format!("{COLLECTION}/{node}")].clone()
    }

    /// Changes a Lease as somebody else would.
    pub(crate) fn change(&self, node: &str, change: impl FnOnce(&mut Value)) {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        let version = store.version.to_string();
        let lease = store.objects.get_mut(&format!("{COLLECTION}/{node}")).unwrap();
        change(lease);
        lease["metadata"]["resourceVersion"] = Value::from(version);
    }

    /// Puts a Node there.
    pub(crate) fn put_node(&self, name: &str, node: Value) {
        self.put(&format!("/api/v1/nodes/{name}"), node);
    }

    /// Answers reads of this path.
    pub(crate) fn put(&self, path: &str, answer: Value) {
        self.store.lock().unwrap().objects.insert(path.to_owned(), answer);
    }

    /// How often this path was read.
    pub(crate) fn reads(&self, path: &str) -> usize {
        self.store.lock().unwrap().reads.iter().filter(|read| *read == path).count()
    }

    /// Takes a path away from whoever reads it, or gives it back.
    pub(crate) fn forbid(&self, path: &str, forbidden: bool) {
        let mut store = self.store.lock().unwrap();
        if forbidden {
            store.forbidden.insert(path.to_owned());
        } else {
            store.forbidden.remove(path);
        }
    }

    /// From now on reads of Nodes get no answer, or get one again.
    pub(crate) fn hold_back(&self, hold: bool) {
        self.store.lock().unwrap().held_back = hold.then_some(0);
    }

    /// How many wait in vain.
    pub(crate) fn held_back(&self) -> usize {
        self.store.lock().unwrap().held_back.unwrap_or_default()
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.store.lock().unwrap().users.clone()
    }
}

impl Store {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let conflict = (409, json!({"reason": "Conflict", "message": "changed"}));
        let mut sent: Value = serde_json::from_slice(body).unwrap_or_default();
        if method == "GET" {
            self.reads.push(path.to_owned());
        }
        if self.forbidden.contains(path) {
            return (403, json!({"reason": "Forbidden", "message": "not now"}));
        }
        if method == "PATCH" {
            return self.patch(path, &sent);
        }
        match (method, self.objects.get(path)) {
            ("GET", Some(found)) => return (200, found.clone()),
            ("GET", None) => return (404, json!({"reason": "NotFound", "message": "no such lease"})),
            ("PUT", Some(found))
                if found["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"] => {}
            ("POST", None) if path == COLLECTION => {}
            _ => return conflict,
        }
        let path = format!("{COLLECTION}/{}", sent["metadata"]["name"].as_str().unwrap());
        if method == "POST" && self.objects.contains_key(&path) {
            return conflict;
        }
        self.version += 1;
        sent["metadata"]["resourceVersion"] = Value::from(self.version.to_string());
        self.objects.insert(path, sent.clone());
        (200, sent)
    }

    /// The one operation list that a hub sends: a `test`, and fields put in place of others.
    fn patch(&mut self, path: &str, operations: &Value) -> (u16, Value) {
        let Some(mut lease) = self.objects.get(path).cloned() else {
            return (404, json!({"reason": "NotFound", "message": "no such lease"}));
        };
        for operation in operations.as_array().unwrap() {
            let (parent, field) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
            let field = field.replace("~1", "/");
            let Some(parent) = lease.pointer_mut(parent).filter(|parent| parent.is_object()) else {
                return (422, json!({"reason": "Invalid", "message": "no such field"}));
            };
            if operation["op"] == "test" && parent[&field] != operation["value"] {
                return (422, json!({"reason": "Invalid", "message": "the test failed"}));
            }
            parent[field] = operation["value"].clone();
        }
        self.version += 1;
        lease["metadata"]["resourceVersion"] = Value::from(self.version.to_string());
        self.objects.insert(path.to_owned(), lease.clone());
        (200, lease)
    }
}

/// One request a connection.
async fn serve(mut stream: TcpStream, store: &Mutex<Store>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.map(|line| line.split_once(':').unwrap().1.trim().to_owned())
    };
    let length = field("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let held_back = {
        let mut store = store.lock().unwrap();
        let held = store.held_back.as_mut().filter(|_| path.starts_with("/api/v1/nodes/"));
        held.map(|held| *held += 1).is_some()
    };
    while held_back && store.lock().unwrap().held_back.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (code, answer) = {
        let mut store = store.lock().unwrap();
        store.users.extend(field("impersonate-user"));
        store.answer(method, path, &body)
    };
    let answer = answer.to_string();
    let head = format!("HTTP/1.1 {code} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
}
