//! Requests over a pipe, to a real store, a runtime in memory and a streaming server of the tests'.

use std::path::PathBuf;

use edgecore_pods::fake::Fake;
use edgecore_pods::runtime::ContainerId;
use edgecore_store::{Change, Store};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use wire::{Kind, ObjectKey, Version};

use super::*;
use crate::about::{Configuration, Machine};

#[path = "usage.rs"]
mod usage;

/// A node with one pod, `ns/web`, whose container `main` runs.
struct Node {
    kubelet: Kubelet<Fake>,
    fake: Fake,
    container: ContainerId,
    store: Store,
    folder: TempDir,
}

impl Node {
    async fn new() -> Self {
        Self::with(Vec::new).await
    }

    async fn with(alive: impl Alive) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let store = Store::open(folder.path(), clock.clone()).unwrap().store;
        let fake = Fake::default();
        let log = folder.path().join("0.log");
        std::fs::write(&log, "2026-11-29T00:00:01Z stdout F one\n2026-11-29T00:00:02Z stderr F two\n")
            .unwrap();
        let container = fake.world(|world| {
            let sandbox = world.add_sandbox("u", "ns", "web", 0);
            let container = world.create(&sandbox, "main", 0, std::collections::BTreeMap::new()).unwrap();
            world.start(&container).unwrap();
            for (_, detail) in &mut world.containers {
                detail.log_path = log.display().to_string();
            }
            container
        });
        let key = ObjectKey::new(Kind::Pod, "ns", "web");
        let body =
            json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main"}]}}).to_string();
        let (uid, version) = ("u".to_owned(), Version::of(body.as_bytes()));
        let wanted = Change::Upsert { key: key.clone(), uid, version, body: body.into_bytes() };
        store.apply(vec![wanted]).await.unwrap();
        let status = json!({"name": "main", "containerID": format!("fake://{}", container.0), "state": {"running": {}}});
        let report = json!({"status": {"phase": "Running", "containerStatuses": [status]}});
        store.report(key, "u", report.to_string().into_bytes()).await.unwrap();
        let about = about(folder.path());
        let mut parts = Parts::new(store.clone(), fake.clone(), clock, alive, about);
        parts.kernel = Kernel {
            proc: folder.path().join("proc"),
            cgroups: folder.path().join("cgroup"),
            devices: folder.path().join("devices"),
        };
        let kubelet = Kubelet::new(parts);
        Self { kubelet, fake, container, store, folder }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("0.log")
    }

    /// Sends a request, and returns the stream on which the answer comes.
    async fn send(&self, request: &str) -> DuplexStream {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        self.kubelet.serve(far);
        near.write_all(request.as_bytes()).await.unwrap();
        near
    }

    /// The whole answer.
    async fn ask(&self, request: &str) -> String {
        let mut answer = String::new();
        self.send(request).await.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: edge\r\n\r\n")).await
    }
}

fn about(folder: &std::path::Path) -> About {
    About {
        node_name: "edge".to_owned(),
        kubelet_version: "v1.37.1-skerry-v0.1.0".to_owned(),
        state_dir: folder.join("state"),
        pod_logs_dir: folder.join("logs"),
        machine: Machine { cpus: 4, memory: 1 << 30, ..Machine::default() },
        configuration: Configuration {
            max_pods: 110,
            cluster_dns: vec!["10.96.0.10".to_owned()],
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: "/etc/resolv.conf".to_owned(),
            runtime_endpoint: "unix:///run/c.sock".to_owned(),
        },
        probes: edgecore_pods::probe_counts::ProbeCounts::default(),
        own_metrics: Box::new(|| "# TYPE own counter\nown_total 5\n# EOF\n".to_owned()),
    }
}

/// Reads until it has read this.
async fn until(stream: &mut DuplexStream, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        read.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn healthz_tells_what_is_dead() {
    let answer = Node::new().await.get("/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
    let ill = Node::with(|| vec!["pod engine: no round for 3 min".to_owned()]).await;
    let answer = ill.get("/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("pod engine: no round"), "{answer}");
}

#[tokio::test]
async fn one_request_a_stream_and_nothing_else_is_answered() {
    let node = Node::new().await;
    let two = "GET /nothing HTTP/1.1\r\nhost: e\r\n\r\nGET /healthz HTTP/1.1\r\nhost: e\r\n\r\n";
    let answer = node.ask(two).await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
    assert!(node.ask("\0\x01nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    assert!(node.ask("DELETE /healthz HTTP/1.1\r\nhost: e\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
}

#[tokio::test]
async fn too_many_are_refused_and_room_comes_back() {
    let node = Node::new().await;
    let mut open = Vec::new();
    for _ in 0..MAX_REQUESTS {
        let (near, far) = tokio::io::duplex(64);
        node.kubelet.serve(far);
        open.push(near);
    }
    let (mut near, far) = tokio::io::duplex(64);
    node.kubelet.serve(far);
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0, "dropped");
    drop(open);
    while !node.kubelet.requests.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(node.get("/healthz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn pods_are_shown_with_what_was_reported() {
    let answer = Node::new().await.get("/pods").await;
    assert!(answer.contains("application/json") && answer.contains(r#""kind":"PodList""#), "{answer}");
    assert!(answer.contains(r#""phase":"Running""#), "{answer}");
}

#[tokio::test]
async fn a_log_is_read_as_asked() {
    let node = Node::new().await;
    let answer = node.get("/containerLogs/ns/web/main").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("one\ntwo\n"), "{answer}");
    let answer = node.get("/containerLogs/ns/web/main?tailLines=1&timestamps=true").await;
    assert!(answer.contains("2026-11-29T00:00:02.000000000Z two\n") && !answer.contains("one"), "{answer}");
}

#[tokio::test]
async fn what_is_not_there_is_named_with_its_status() {
    let node = Node::new().await;
    for (path, status, words) in [
        ("/containerLogs/ns/nobody/main", 404, "pod \"nobody\" does not exist"),
        ("/containerLogs/other/web/main", 404, "pod \"web\" does not exist"),
        ("/containerLogs/ns/web/side", 404, "container \"side\" not found in pod \"web\""),
        (
            "/containerLogs/ns/web/main?previous=true",
            400,
            "previous terminated container \"main\" in pod \"web\" not found",
        ),
        ("/containerLogs/ns/web/main?tailLines=x", 400, "tailLines"),
        ("/containerLogs/ns/web/main?tailLines=-1", 422, "tailLines"),
        ("/exec/ns/web/other-uid/main?command=ls&output=1", 404, "pod \"web\" does not exist"),
        ("/exec/ns/web/main?output=1", 400, "you must specify a command"),
        ("/exec/ns/web/main?command=ls", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("/attach/ns/web/main?output=1", 500, "no streaming server"),
    ] {
        let answer = node.get(path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words),
            "{path}: {answer}"
        );
    }
    node.fake.world(|world| world.exit(&node.container, 1));
    node.store.forget_report("u").await.unwrap();
    let answer = node.get("/exec/ns/web/main?command=ls&output=1").await;
    assert!(
        answer.starts_with("HTTP/1.1 500 ") && answer.contains("container not found (\"main\")"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_followed_log_ends_with_its_container() {
    let node = Node::new().await;
    let request = "GET /containerLogs/ns/web/main?follow=true HTTP/1.1\r\nhost: edge\r\n\r\n";
    let mut stream = node.send(request).await;
    until(&mut stream, "two\n").await;
    let mut file = std::fs::File::options().append(true).open(node.log()).unwrap();
    std::io::Write::write_all(&mut file, b"2026-11-29T00:00:03Z stdout F three\n").unwrap();
    until(&mut stream, "three\n").await;
    std::io::Write::write_all(&mut file, b"2026-11-29T00:00:04Z stdout F last\n").unwrap();
    node.fake.world(|world| world.exit(&node.container, 0));
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("last\n"), "{rest}");
}

#[tokio::test]
async fn who_follows_and_goes_leaves_nothing_behind() {
    let node = Node::new().await;
    let request = "GET /containerLogs/ns/web/main?follow=true HTTP/1.1\r\nhost: edge\r\n\r\n";
    let mut stream = node.send(request).await;
    until(&mut stream, "two\n").await;
    assert_eq!(node.kubelet.requests.len(), 1);
    drop(stream);
    while !node.kubelet.requests.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A streaming server for one request; it ends with this.
struct Echo {
    /// The head of the request, once both ends are closed.
    head: oneshot::Receiver<String>,
    _running: Group,
}

/// Answers with this status line and head, and then sends back whatever it hears.
async fn echo(fake: &Fake, status: &'static str) -> Echo {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    fake.world(|world| world.streaming = Some(listener.local_addr().unwrap().to_string()));
    let (tell, head) = oneshot::channel();
    let running = Group::new("echo", 1);
    running.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(status.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
        let _ = tell.send(String::from_utf8(head).unwrap());
    });
    Echo { head, _running: running }
}

const UPGRADE: &str = "host: edge\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n";

#[tokio::test]
async fn exec_passes_through_both_ways_until_either_end_closes() {
    let node = Node::new().await;
    let server = echo(&node.fake, SWITCHED).await;
    let path = "/exec/ns/web/main?command=ls&command=-l%20a&input=1&output=1&error=1&tty=1";
    let mut stream = node.send(&format!("POST {path} HTTP/1.1\r\n{UPGRADE}")).await;
    until(&mut stream, "\r\n\r\n").await;
    stream.write_all(b"\x80\x03 any bytes").await.unwrap();
    let mut back = [0; 12];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"\x80\x03 any bytes");
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut back).await.unwrap(), 0);
    let head = server.head.await.unwrap();
    assert!(head.starts_with(&format!("POST /exec/{} HTTP/1.1\r\n", node.container.0)), "{head}");
    assert!(head.contains("upgrade: SPDY/3.1") && head.contains("x-stream-protocol-version: v4"), "{head}");
    let asked = node.fake.world(|world| world.calls.last().cloned()).unwrap();
    let streams = "Streams { stdin: true, stdout: true, stderr: false, tty: true }";
    assert_eq!(asked, format!("exec {} ls -l a {streams}", node.container.0));
}

#[tokio::test]
async fn a_caller_that_goes_ends_the_streaming_servers_end_too() {
    let node = Node::new().await;
    let server = echo(&node.fake, SWITCHED).await;
    let mut stream = node.send(&format!("POST /portForward/ns/web HTTP/1.1\r\n{UPGRADE}")).await;
    until(&mut stream, "\r\n\r\n").await;
    drop(stream);
    let head = server.head.await.unwrap();
    assert!(head.starts_with("POST /portforward/s1 HTTP/1.1\r\n"), "{head}");
    while !node.kubelet.requests.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_refusal_of_the_streaming_server_is_passed_on() {
    let node = Node::new().await;
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let _server = echo(&node.fake, refusal).await;
    let answer = node.ask(&format!("POST /attach/ns/web/main?output=1 HTTP/1.1\r\n{UPGRADE}")).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("\r\n\r\nno"), "{answer}");
}
