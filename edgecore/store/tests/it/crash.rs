//! A child writes and prints what was acknowledged; it is killed at an arbitrary moment; everything it printed is there.
//!
//! A killed process leaves the page cache intact, so this checks transactions and group commit; power cuts on a disk
//! that forgets are in the end-to-end tests.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use edgecore_store::{Change, LedgerRow, Store};
use kit::Clock;
use wire::{Kind, ObjectKey, Version};

const DIR: &str = "SKERRY_TEST_CRASH_DIR";
const ROUNDS: usize = 30;

#[test]
#[ignore = "run by what_was_acknowledged_is_there, as the process that is killed"]
fn child() {
    let dir = kit::config::env(DIR).unwrap();
    let store = Store::open(Path::new(&dir), Clock::system()).unwrap().store;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = store.pod_states().unwrap().len();
    runtime.block_on(async {
        for n in first.. {
            let body = format!("{{\"n\":{n}}}").into_bytes();
            let (name, uid) = (format!("p{}", n % 7), format!("u{}", n % 7));
            let upsert = Change::Upsert {
                key: ObjectKey::new(Kind::Pod, "default", &name),
                uid: uid.clone(),
                version: Version::of(&body),
                body: body.clone(),
            };
            // Together, so that they are committed as a group.
            let state = format!("s{n:08}");
            let (applied, kept, reported) = tokio::join!(
                store.apply(vec![upsert]),
                store.put_pod_state(&state, b"x"),
                store.report(ObjectKey::new(Kind::Pod, "default", &name), &uid, body.clone()),
            );
            applied.unwrap();
            kept.unwrap();
            reported.unwrap();
            println!("ack {n}");
        }
    });
}

#[test]
fn what_was_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut store_id = None;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut last = None;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Kill after another number of acknowledgements each round; what comes until the pipe ends counts too.
        for line in lines.by_ref().take(3 + round % 11) {
            last = acknowledged(&line.unwrap()).or(last);
        }
        child.kill().unwrap();
        for line in lines {
            last = acknowledged(&line.unwrap()).or(last);
        }
        child.wait().unwrap();

        let opened = Store::open(dir.path(), Clock::system()).unwrap();
        assert!(!opened.fresh && opened.set_aside.is_none());
        let store = opened.store;
        let id = store.meta().store_id;
        assert_eq!(*store_id.get_or_insert_with(|| id.clone()), id);
        if let Some(last) = last {
            assert!(store.pod_states().unwrap().len() > last);
            let body = store.object_by_uid(Kind::Pod, &format!("u{}", last % 7)).unwrap().unwrap().body;
            assert!(number(&body) >= Some(last as u64));
            let report = store.pending_reports(0, 99).unwrap();
            assert!(
                report
                    .iter()
                    .any(|row| row.uid == format!("u{}", last % 7) && number(&row.body) >= Some(last as u64))
            );
        }
        let ledger = store.ledger().unwrap();
        assert!(ledger.iter().all(LedgerRow::balanced), "{ledger:?}");
    }
}

fn acknowledged(line: &str) -> Option<usize> {
    // The harness prints its own words in front of the first line.
    line.rsplit_once("ack ").and_then(|(_, n)| n.parse().ok())
}

fn number(body: &[u8]) -> Option<u64> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?["n"].as_u64()
}
