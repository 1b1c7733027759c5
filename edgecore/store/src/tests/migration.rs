//! A store of schema 1: its rows stay, and what they amount to is counted.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::open;
use crate::{JournalEntry, LedgerRow};

/// A store as the first release left it: entries of two streams, reports taken and not, accounts, an event that expires.
fn first_release(dir: &Path) {
    let conn = Connection::open(dir.join("store.db")).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    conn.execute_batch(include_str!("../migrations/0001.sql")).unwrap();
    conn.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO meta VALUES ('store_id', 'the-id');
         INSERT INTO journal (stream, priority, boot_id, elapsed_ms, wall_ms, trusted, expires_after_ms, body) VALUES
             ('events', 2, 'boot-1', 0, 0, 0, NULL, x'0102'), ('events', 4, 'boot-1', 0, 0, 0, 5000, x'03'),
             ('odd', 77, 'boot-0', 0, 0, 0, NULL, x'040506');
         INSERT INTO reports (kind, uid, namespace, name, hash, pending, body) VALUES
             ('Pod', 'u1', 'default', 'p1', zeroblob(16), 1, x'7b7d'),
             ('Pod', 'u2', 'default', 'p2', zeroblob(16), 0, x'7b207d');
         INSERT INTO ledger VALUES ('events', 'produced', '', 5), ('events', 'delivered', '', 3),
             ('odd', 'produced', '', 2), ('odd', 'dropped', 'refused', 1),
             ('reports', 'produced', '', 9), ('reports', 'delivered', '', 8);",
    )
    .unwrap();
}

fn row<'a>(rows: &'a [LedgerRow], stream: &str) -> &'a LedgerRow {
    rows.iter().find(|row| row.stream == stream).unwrap()
}

#[tokio::test]
async fn rows_of_the_first_release_stay_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    first_release(dir.path());
    let clock = kit::Clock::manual(kit::WallTime(1_700_000_000_000));
    let opened = open(dir.path(), &clock);
    assert!(!opened.fresh && opened.set_aside.is_none());
    let store = opened.store;
    assert_eq!(store.meta().store_id, "the-id");
    let rows = store.ledger().unwrap();
    assert!(rows.iter().all(LedgerRow::balanced), "{rows:?}");
    let (events, odd, reports) = (row(&rows, "events"), row(&rows, "odd"), row(&rows, "reports"));
    assert_eq!((events.queued, events.bytes), (2, 3));
    assert_eq!((odd.queued, odd.bytes), (1, 3));
    assert_eq!((reports.queued, reports.bytes), (1, 5));
    assert_eq!(store.journal(0, 9).unwrap().len(), 3);
    // A priority that there is none of became the highest, so that the entry is found.
    assert_eq!(store.journal_waiting("odd", &[0; 10], 9).unwrap()[9], [3]);
    clock.advance(Duration::from_secs(6));
    assert!(store.expire_journal().await.unwrap());
    // Nothing more is known to expire: that of another boot has no end.
    assert_eq!(store.next_expiry().unwrap(), None);
    let entry = JournalEntry { stream: "events", priority: 1, expires_after: None, body: b"new".to_vec() };
    assert_eq!(store.append(entry).await.unwrap(), 4);
    let rows = store.ledger().unwrap();
    assert!(rows.iter().all(LedgerRow::balanced), "{rows:?}");
    assert_eq!((row(&rows, "events").queued, row(&rows, "events").bytes), (2, 5));
}
