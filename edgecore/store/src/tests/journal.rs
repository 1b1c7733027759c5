//! The journal: capped, expiring, every loss counted.

mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Fixture, fixture, open};
use crate::limits::{OVERHEAD, StreamLimit, WhenFull};
use crate::{JournalEntry, LedgerRow, Limits, Store, StoreError};

/// What the streams of these tests may hold: four bodies of [`BLOCK`] bytes.
const CAP: u64 = 4 * (BLOCK as u64 + OVERHEAD);
const BLOCK: usize = 1000;

fn entry(body: &[u8], life: Option<u64>) -> JournalEntry {
    JournalEntry {
        stream: "events",
        priority: 5,
        expires_after: life.map(Duration::from_secs),
        body: body.to_vec(),
    }
}

fn block(stream: &'static str, priority: u8) -> JournalEntry {
    JournalEntry { stream, priority, expires_after: None, body: vec![b'x'; BLOCK] }
}

/// One small stream of each policy.
fn limits() -> Limits {
    let limit = |when_full| StreamLimit { max_bytes: CAP, when_full };
    Limits {
        reports_max_bytes: 1000,
        streams: BTreeMap::from([
            ("events", limit(WhenFull::DropLowestPriority)),
            ("messages", limit(WhenFull::Refuse)),
            ("readings", limit(WhenFull::DropOldest)),
        ]),
    }
}

fn small() -> Fixture {
    let Fixture { store, clock, dir } = fixture();
    drop(store);
    let store = Store::open_in_boot_with(dir.path(), clock.clone(), "boot-1", limits()).unwrap().store;
    Fixture { store, clock, dir }
}

fn ledger(store: &Store, stream: &str) -> LedgerRow {
    let rows = store.ledger().unwrap();
    assert!(rows.iter().all(LedgerRow::balanced), "{rows:?}");
    rows.into_iter().find(|row| row.stream == stream).unwrap()
}

fn seqs(store: &Store, stream: &str) -> Vec<u64> {
    let rows = store.journal(0, 99).unwrap();
    rows.iter().filter(|row| row.stream == stream).map(|row| row.seq).collect()
}

#[tokio::test]
async fn entries_stay_until_they_are_taken() {
    let fixture = fixture();
    let mut news = fixture.store.watch_journal();
    let first = fixture.store.append(entry(b"a", None)).await.unwrap();
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    let second = fixture.store.append(entry(b"b", None)).await.unwrap();
    let third = fixture.store.append(entry(b"c", None)).await.unwrap();
    fixture.store.journal_acked(vec![first, first]).await.unwrap();
    fixture.store.journal_refused(third, "no").await.unwrap();
    let (dir, clock) = (fixture.dir, fixture.clock);
    drop(fixture.store);
    let store = open(dir.path(), &clock).store;
    let rows = store.journal(0, 9).unwrap();
    assert_eq!((rows.len(), rows[0].seq, rows[0].body.as_slice()), (1, second, b"b".as_slice()));
    // Numbers are never used twice, even of entries that are gone.
    store.journal_acked(vec![second]).await.unwrap();
    assert!(store.append(entry(b"d", None)).await.unwrap() > third);
    let ledger = ledger(&store, "events");
    assert_eq!((ledger.produced, ledger.delivered, ledger.queued, ledger.bytes), (4, 2, 1, 1));
    assert_eq!(ledger.dropped, [("refused".to_owned(), 1)]);
    let refusal = store.refusals().unwrap().remove(0);
    assert_eq!((refusal.about, refusal.reason.as_str()), (format!("entry {third}"), "no"));
}

#[tokio::test]
async fn beyond_the_cap_the_expired_leave_first_and_then_the_oldest() {
    let fixture = small();
    let store = &fixture.store;
    let oldest = store.append(block("readings", 9)).await.unwrap();
    let mortal = JournalEntry { expires_after: Some(Duration::from_secs(10)), ..block("readings", 1) };
    let mortal = store.append(mortal).await.unwrap();
    for priority in [3, 0] {
        store.append(block("readings", priority)).await.unwrap();
    }
    fixture.clock.advance(Duration::from_secs(11));
    store.append(block("readings", 0)).await.unwrap();
    let left = seqs(store, "readings");
    assert!(left.len() == 4 && left.contains(&oldest) && !left.contains(&mortal));
    store.append(block("readings", 0)).await.unwrap();
    let left = seqs(store, "readings");
    assert!(left.len() == 4 && !left.contains(&oldest));
    let ledger = ledger(store, "readings");
    assert_eq!((ledger.expired, ledger.dropped.as_slice()), (1, [("full".to_owned(), 1)].as_slice()));
}

#[tokio::test]
async fn the_lowest_priority_leaves_first_and_nothing_for_one_that_is_lower_still() {
    let fixture = small();
    let store = &fixture.store;
    let mut of = BTreeMap::new();
    for priority in [4, 2, 6, 2] {
        of.entry(priority).or_insert(store.append(block("events", priority)).await.unwrap());
    }
    store.append(block("events", 3)).await.unwrap();
    assert!(!seqs(store, "events").contains(&of[&2]), "the older of the two lowest");
    let before = seqs(store, "events");
    let error = store.append(block("events", 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::StreamFull { stream: "events", .. }), "{error:?}");
    assert_eq!(seqs(store, "events"), before);
    // Two small ones are not worth dropping where they do not make the room.
    let ledger = ledger(store, "events");
    assert_eq!((ledger.produced, ledger.dropped.as_slice()), (6, [("full".to_owned(), 2)].as_slice()));
}

#[tokio::test]
async fn a_stream_that_refuses_says_so_and_counts_it() {
    let fixture = small();
    let store = &fixture.store;
    for _ in 0..4 {
        store.append(block("messages", 5)).await.unwrap();
    }
    let error = store.append(block("messages", 9)).await.unwrap_err().to_string();
    assert!(error.contains("messages") && error.contains(&CAP.to_string()), "{error}");
    let large = JournalEntry { body: vec![0; usize::try_from(CAP).unwrap()], ..block("messages", 9) };
    let error = store.append(large.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { stream: "messages", .. }), "{error:?}");
    // One that is too large takes nothing with it where others would make room either.
    store.append(block("readings", 0)).await.unwrap();
    store.append(JournalEntry { stream: "readings", ..large }).await.unwrap_err();
    assert_eq!(seqs(store, "readings").len(), 1);
    let row = ledger(store, "messages");
    assert_eq!((row.produced, row.queued), (6, 4));
    assert_eq!(row.dropped, [("refused_full".to_owned(), 1), ("too_large".to_owned(), 1)]);
    // What was delivered makes room.
    store.journal_acked(vec![seqs(store, "messages")[0]]).await.unwrap();
    store.append(block("messages", 0)).await.unwrap();
    assert_eq!(ledger(store, "messages").queued, 4);
}

#[tokio::test]
async fn short_bodies_count_for_what_they_take_on_the_disk() {
    let fixture = small();
    for _ in 0..200 {
        fixture.store.append(JournalEntry { body: b"x".to_vec(), ..block("readings", 0) }).await.unwrap();
    }
    let held = seqs(&fixture.store, "readings").len() as u64;
    assert_eq!(held, CAP / (OVERHEAD + 1));
}

#[tokio::test]
async fn reports_are_capped_and_what_was_said_before_stays() {
    let fixture = small();
    let store = &fixture.store;
    let body = |length: usize| format!("{{\"status\":\"{}\"}}", "x".repeat(length)).into_bytes();
    let key = |name: &str| super::key(wire::Kind::Pod, name);
    assert!(store.report(key("a"), "a", body(500)).await.unwrap());
    assert!(store.report(key("b"), "b", body(300)).await.unwrap());
    assert!(!store.report(key("b"), "b", body(600)).await.unwrap(), "beyond the cap");
    assert_eq!(store.last_report(&key("b")).unwrap().unwrap().body, body(300));
    assert!(store.report(key("a"), "a", body(100)).await.unwrap(), "one that shrinks");
    assert!(store.report(key("b"), "b", body(600)).await.unwrap(), "and makes room");
    let row = ledger(store, "reports");
    assert_eq!((row.produced, row.superseded, row.queued), (5, 2, 2));
    assert_eq!(row.dropped, [("full".to_owned(), 1)]);
    assert_eq!(row.bytes, (body(100).len() + body(600).len()) as u64);
}

#[tokio::test]
async fn wall_times_are_corrected_by_what_was_learned_later() {
    let fixture = fixture();
    fixture.store.append(entry(b"a", Some(3600))).await.unwrap();
    fixture.clock.advance(Duration::from_secs(10));
    let real = kit::WallTime(1_900_000_000_000);
    fixture.clock.learn(real);
    let row = fixture.store.journal(0, 9).unwrap().remove(0);
    assert!(!row.at.trusted);
    assert_eq!(row.at.corrected(&fixture.store.stamp()), real.plus_millis(-10_000));
    // That the clock jumped by years expires nothing: age is elapsed time.
    assert!(!fixture.store.expire_journal().await.unwrap());
    let wait = fixture.store.next_expiry().unwrap().unwrap();
    assert_eq!(wait, Duration::from_millis(3_590_001));
    fixture.clock.advance(wait);
    assert!(fixture.store.expire_journal().await.unwrap());
    assert_eq!(fixture.store.journal(0, 9).unwrap().len(), 0);
    assert_eq!(fixture.store.next_expiry().unwrap(), None);
}

#[tokio::test]
async fn across_boots_only_trusted_times_make_an_age() {
    let fixture = fixture();
    let trusted = kit::WallTime(1_800_000_000_000);
    fixture.store.append(entry(b"never confirmed", Some(10))).await.unwrap();
    fixture.clock.learn(trusted);
    fixture.store.append(entry(b"confirmed", Some(10))).await.unwrap();
    drop(fixture.store);
    // Another boot, of which nobody knows yet when it is.
    let clock = kit::Clock::manual(kit::WallTime(0));
    let store = Store::open_in_boot(fixture.dir.path(), clock.clone(), "boot-2").unwrap().store;
    clock.advance(Duration::from_hours(1));
    assert_eq!(store.next_expiry().unwrap(), None);
    assert!(!store.expire_journal().await.unwrap());
    clock.learn(trusted.plus_millis(4_000));
    assert_eq!(store.next_expiry().unwrap(), Some(Duration::from_millis(6_001)));
    clock.advance(Duration::from_secs(7));
    assert!(store.expire_journal().await.unwrap());
    let left = store.journal(0, 9).unwrap();
    assert_eq!(left.iter().map(|row| row.body.as_slice()).collect::<Vec<_>>(), [b"never confirmed"]);
    assert_eq!(store.next_expiry().unwrap(), None);
}

#[tokio::test]
async fn an_agent_that_does_not_run_is_looked_into() {
    let fixture = small();
    fixture.store.append(block("messages", 5)).await.unwrap();
    let peek = Store::peek(fixture.dir.path(), &limits()).unwrap();
    assert_eq!(peek.store_id, fixture.store.meta().store_id);
    assert_eq!(peek.ledger, fixture.store.ledger().unwrap());
    assert_eq!((peek.digest, peek.count), fixture.store.digest());
    let nothing = tempfile::tempdir().unwrap();
    assert!(matches!(Store::peek(nothing.path(), &limits()), Err(StoreError::Open { .. })));
    assert!(!nothing.path().join("store.db").exists(), "looking makes nothing");
}
