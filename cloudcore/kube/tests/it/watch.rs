//! What a watch tells its observer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloudcore_kube::watch::{Named, Observer, Source, Watch};
use cloudcore_kube::{KubeError, Metrics, path};
use kit::tasks::Group;
use kit::{Clock, Shutdown};
use tokio::sync::mpsc;

use crate::server::{Answer, Server};

/// Writes down what it is told, one line each.
struct Recorder(mpsc::Sender<String>);

impl Recorder {
    fn say(&self, line: String) {
        self.0.try_send(line).unwrap();
    }
}

impl Observer for Recorder {
    fn applied(&self, raw: &[u8]) -> Result<(), String> {
        let object: serde_json::Value = serde_json::from_slice(raw).map_err(|error| error.to_string())?;
        if !object["metadata"].is_object() {
            return Err("metadata is no object".to_owned());
        }
        self.say(format!(
            "applied {}",
            object["metadata"]["name"].as_str().ok_or("metadata.name is no string")?
        ));
        Ok(())
    }

    fn skipped(&self, named: &Named) {
        self.say(format!("skipped {named}"));
    }

    fn deleted(&self, uid: &str) {
        self.say(format!("deleted {uid}"));
    }

    fn listed(&self, seen: Option<&BTreeSet<String>>) {
        let seen = seen.map(|seen| seen.iter().cloned().collect::<Vec<_>>().join(" "));
        self.say(format!("listed {}", seen.as_deref().unwrap_or("without knowing all")));
    }

    fn progressed(&self, _resource_version: &str) {}

    fn broken(&self, error: &KubeError) {
        self.say(format!("broken {}", error.code().unwrap_or_default()));
    }

    fn healthy(&self) {
        self.say("healthy".to_owned());
    }
}

struct Run {
    server: Server,
    clock: Clock,
    metrics: Metrics,
    lines: mpsc::Receiver<String>,
    _running: Group,
}

async fn run(script: Vec<Answer>) -> Run {
    run_by(Clock::system(), script).await
}

async fn run_by(clock: Clock, script: Vec<Answer>) -> Run {
    let server = Server::start(script).await;
    let (tx, lines) = mpsc::channel(1000);
    let metrics = Metrics::default();
    let source = Source { kind: "Pod", collection: path::PODS, field_selector: "", page: 10 };
    let watch =
        Watch::new(server.client.clone(), source, Arc::new(Recorder(tx)), metrics.clone(), clock.clone());
    let running = Group::new("watch", 1);
    running.spawn(async move { watch.run(Shutdown::new()).await.unwrap() });
    Run { server, clock, metrics, lines, _running: running }
}

impl Run {
    /// The next lines are these.
    async fn says(&mut self, expected: &[&str]) {
        for line in expected {
            let said = tokio::time::timeout(Duration::from_secs(10), self.lines.recv()).await;
            assert_eq!(
                said.unwrap_or_else(|_| panic!("no word, where {line:?} was expected")).as_deref(),
                Some(*line)
            );
        }
    }

    fn malformed(&self) -> u64 {
        self.metrics.malformed.get_or_create(&cloudcore_kube::metrics::KindLabel { kind: "Pod" }).get()
    }
}

fn item(name: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"u-{name}","resourceVersion":"5"}}}}"#)
}

fn list(proceed: &str, items: &[&str]) -> Answer {
    list_at(7, proceed, items)
}

fn list_at(version: u32, proceed: &str, items: &[&str]) -> Answer {
    let items = items.join(",");
    Answer::Whole(
        200,
        format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","continue":"{proceed}"}},"items":[{items}]}}"#
        ),
    )
}

fn event(kind: &str, name: &str, version: u32) -> String {
    format!(
        r#"{{"type":"{kind}","object":{{"metadata":{{"name":"{name}","namespace":"n","uid":"u-{name}","resourceVersion":"{version}"}}}}}}"#
    )
}

#[tokio::test]
async fn what_is_damaged_is_named_counted_skipped_and_healed() {
    let damaged = r#"{"metadata":{"name":7,"namespace":"n","uid":"u-b","x":{"name":"b"}}}"#;
    let mut run = run(vec![
        list("", &[&item("a"), damaged, &item("c")]),
        Answer::Open(vec![
            r#"{"type":"MODIFIED","object":{"metadata":{"name":"a","namespace":"n","uid":"u-a","resourceV"#
                .to_owned(),
            event("MODIFIED", "c", 8),
            event("MODIFIED", "b", 9),
            event("DELETED", "a", 10),
        ]),
    ])
    .await;
    run.says(&["applied a", "skipped n/b (u-b)", "applied c", "listed u-a u-b u-c", "healthy"]).await;
    run.says(&["skipped n/a", "applied c", "applied b", "deleted u-a"]).await;
    assert_eq!(run.malformed(), 2);
}

#[tokio::test]
async fn a_page_out_of_balance_is_read_one_by_one() {
    let open_ended = r#"{"metadata":{"name":"b","uid":"u-b"},"x":"}"#;
    let mut run = run(vec![
        list("", &[&item("a"), open_ended, &item("c")]),
        list("1", &[&item("a")]),
        list("2", &[open_ended]),
        list("", &[&item("c")]),
    ])
    .await;
    run.says(&["applied a", "skipped b", "applied c", "listed without knowing all"]).await;
    let asked = run.server.asked();
    assert_eq!(asked[0], "/api/v1/pods?limit=10");
    assert_eq!(
        asked[1..4],
        ["/api/v1/pods?limit=1", "/api/v1/pods?limit=1&continue=1", "/api/v1/pods?limit=1&continue=2"]
    );
}

#[tokio::test]
async fn where_an_item_cannot_be_named_absence_is_not_known() {
    let mut run = run(vec![list("", &[&item("a"), "7"])]).await;
    run.says(&["applied a", "skipped (no name)", "listed without knowing all"]).await;
}

#[tokio::test]
async fn an_item_damaged_at_its_uid_is_not_taken_for_its_owner() {
    let owners = r#""ownerReferences":[{"name":"r","uid":"u-r"}]"#;
    let damaged = format!(r#"{{"metadata":{{"namespace":"n",{owners},"uid":7}}}}"#);
    let mut run = run(vec![list("", &[&item("a"), &damaged])]).await;
    run.says(&["applied a", "skipped n/r", "listed without knowing all"]).await;
}

#[tokio::test]
async fn a_list_that_fails_concludes_nothing() {
    let refusal = r#"{"kind":"Status","code":403,"reason":"Forbidden","message":"no"}"#;
    let mut run = run(vec![
        Answer::Whole(403, refusal.to_owned()),
        list("more", &[&item("a")]),
        Answer::Whole(500, String::new()),
        list("", &[&item("b")]),
        Answer::Open(Vec::new()),
    ])
    .await;
    run.says(&["broken 403", "applied a", "broken 500", "applied b", "listed u-b", "healthy"]).await;
}

/// Some minutes pass: the watch that is open has lasted for as long as it was to.
const IN_TIME: Duration = Duration::from_mins(5);

fn watched_from(run: &Run) -> Vec<String> {
    let asked = run.server.asked();
    asked.iter().filter_map(|path| path.split("resourceVersion=").nth(1).map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_watch_that_ends_in_time_goes_on_where_it_was() {
    let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#;
    let clock = Clock::manual(kit::WallTime(0));
    let mut run = run_by(
        clock,
        vec![
            list("", &[&item("a")]),
            Answer::Open(vec![bookmark.to_owned(), event("ADDED", "b", 10)]),
            list_at(11, "more", &[&item("a")]),
            Answer::Open(vec![event("ADDED", "c", 12)]),
        ],
    )
    .await;
    run.says(&["applied a", "listed u-a", "healthy", "applied b"]).await;
    run.clock.advance(IN_TIME);
    run.says(&["healthy", "applied c"]).await;
    assert_eq!(watched_from(&run), ["7", "10"]);
}

#[tokio::test]
async fn a_watch_that_ends_before_or_is_too_old_starts_over() {
    let too_old = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
    let mut run = run(vec![
        list("", &[&item("a"), &item("b")]),
        Answer::Lines(vec![event("ADDED", "c", 12)]),
        // The API server is back, with a database of an earlier time that has gone on since: c was never there, b is
        // gone, and nothing of it would come by a watch from 12.
        list_at(40, "", &[&item("a")]),
        Answer::Lines(vec![too_old.to_owned()]),
        list_at(50, "", &[&item("a")]),
        Answer::Open(Vec::new()),
    ])
    .await;
    run.says(&["applied a", "applied b", "listed u-a u-b", "healthy", "applied c"]).await;
    run.says(&["applied a", "listed u-a", "healthy"]).await;
    // Too old is no fault: nothing is broken, and a new list says what is gone.
    run.says(&["applied a", "listed u-a", "healthy"]).await;
    assert_eq!(watched_from(&run), ["7", "40", "50"]);
}

#[tokio::test]
async fn a_watch_that_is_refused_is_tried_again_without_a_list() {
    let refusal = r#"{"kind":"Status","code":403,"reason":"Forbidden","message":"no"}"#;
    let mut run = run(vec![
        list("", &[&item("a")]),
        Answer::Whole(403, refusal.to_owned()),
        list_at(8, "more", &[&item("a")]),
        Answer::Open(vec![event("ADDED", "b", 9)]),
    ])
    .await;
    run.says(&["applied a", "listed u-a", "broken 403", "healthy", "applied b"]).await;
    assert_eq!(watched_from(&run), ["7", "7"]);
}

#[tokio::test]
async fn a_cluster_that_is_not_as_far_any_more_is_listed_again() {
    let clock = Clock::manual(kit::WallTime(0));
    let mut run = run_by(
        clock,
        vec![
            list("", &[&item("a"), &item("b")]),
            Answer::Open(vec![event("ADDED", "c", 12)]),
            list_at(9, "", &[&item("a")]),
            list_at(9, "", &[&item("a")]),
            Answer::Open(vec![event("ADDED", "d", 10)]),
        ],
    )
    .await;
    run.says(&["applied a", "applied b", "listed u-a u-b", "healthy", "applied c"]).await;
    run.clock.advance(IN_TIME);
    run.says(&["applied a", "listed u-a", "healthy", "applied d"]).await;
    assert_eq!(watched_from(&run), ["7", "9"]);
}
