//! A replica that slept: its session is over, and it does not know.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudcore_index::Index;
use cloudcore_status::{Answers, Opened, Statuses};
use kit::tasks::Group;
use kit::{Clock, Shutdown};
use serde_json::{Value, json};
use wire::{Body, Digest, DownFrame, Report, down_frame};

use crate::server::{Cluster, Server};

/// What the edge is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<DownFrame>>);

impl Answers for Told {
    fn send(&self, frame: DownFrame) {
        self.0.lock().unwrap().push(frame);
    }
}

fn pod(status: &Value) -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "5"},
        "spec": {"nodeName": "edge-1"}, "status": status,
    })
}

/// Takes the report "restarted once" in session 7, and runs until nothing is under way. Answers whether it was
/// acknowledged.
async fn report(server: &Server) -> bool {
    let (clock, shutdown) = (Clock::system(), Shutdown::new());
    let statuses = Statuses::new(server.client.clone(), Index::new(), clock);
    let told = Arc::new(Told::default());
    statuses.opened(Opened {
        node: "edge-1".into(),
        epoch: 7,
        store_id: "s".into(),
        reports_digest: Digest::EMPTY,
        reports_count: 0,
        answers: Arc::<Told>::clone(&told),
    });
    let body = json!({"status": {"phase": "Running", "message": "older"}}).to_string();
    let older = Report {
        id: 1,
        kind: "Pod".to_owned(),
        namespace: "ns".to_owned(),
        name: "p".to_owned(),
        uid: "u".to_owned(),
        body: Some(Body::pack(body.as_bytes()).unwrap()),
    };
    statuses.report("edge-1", 7, older);
    let running = Group::new("status", 1);
    let (run, end) = (statuses.clone(), shutdown.clone());
    running.spawn(async move { run.run(end).await.unwrap() });
    let through = async {
        // The Lease is asked last of all before a write, and a write that is under way comes to its end.
        while !server.cluster.lock().unwrap().asked.iter().any(|asked| asked.contains("/leases/")) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        shutdown.request("test");
        while !running.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), through).await.unwrap();
    let told = told.0.lock().unwrap();
    told.iter().any(|frame| matches!(frame.content, Some(down_frame::Content::ReportAck(_))))
}

#[tokio::test]
async fn the_session_that_has_the_lease_writes() {
    let server = Server::start(pod(&json!({"phase": "Pending"})), 7).await;
    assert!(report(&server).await);
    assert_eq!(server.cluster.lock().unwrap().pod["status"]["message"], "older");
}

#[tokio::test]
async fn a_replica_that_slept_before_its_look_plans_on_the_newest_and_writes_nothing() {
    let newest = json!({"phase": "Running", "message": "newest"});
    let server = Server::start(pod(&newest), 8).await;
    assert!(!report(&server).await, "the edge keeps what was not written");
    let cluster = server.cluster.lock().unwrap();
    assert_eq!(cluster.pod["status"], newest);
    assert!(cluster.asked.iter().all(|asked| asked.starts_with("GET ")), "{:?}", cluster.asked);
}

/// Another replica opens a session and writes, the moment this one has asked something.
fn moves(cluster: &mut Cluster) {
    cluster.epoch = 8;
    cluster.write(json!({"phase": "Running", "message": "newest"}));
}

#[tokio::test]
async fn a_replica_that_slept_at_any_later_point_writes_nothing_either() {
    for asleep in ["GET /api/v1/namespaces/ns/pods/p", "/leases/edge-1"] {
        let server = Server::start(pod(&json!({"phase": "Pending"})), 7).await;
        server.cluster.lock().unwrap().meanwhile = Some((asleep, moves));
        assert!(!report(&server).await, "asleep after {asleep}");
        let cluster = server.cluster.lock().unwrap();
        assert_eq!(cluster.pod["status"]["message"], "newest", "asleep after {asleep}: {:?}", cluster.asked);
    }
}
