//! The journal: capped, expiring, every loss counted.

use std::time::Duration;

use super::{fixture, open};
use crate::journal::STREAM_CAP;
use crate::{JournalEntry, LedgerRow};

fn entry(body: &[u8], life: Option<u64>) -> JournalEntry {
    JournalEntry {
        stream: "events",
        priority: 5,
        expires_after: life.map(Duration::from_secs),
        body: body.to_vec(),
    }
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
    let ledger = store.ledger().unwrap().remove(0);
    assert!(ledger.balanced());
    assert_eq!((ledger.produced, ledger.delivered, ledger.queued), (4, 2, 1));
    assert_eq!(ledger.dropped, [("refused".to_owned(), 1)]);
}

#[tokio::test]
async fn beyond_the_cap_the_expired_leave_first_and_then_the_oldest() {
    let fixture = fixture();
    let block = vec![b'x'; usize::try_from(STREAM_CAP / 4).unwrap()];
    let oldest = fixture.store.append(entry(&block, None)).await.unwrap();
    let mortal = fixture.store.append(entry(&block, Some(10))).await.unwrap();
    for _ in 0..2 {
        fixture.store.append(entry(&block, None)).await.unwrap();
    }
    fixture.clock.advance(Duration::from_secs(11));
    fixture.store.append(entry(&block, None)).await.unwrap();
    let seqs: Vec<_> = fixture.store.journal(0, 9).unwrap().iter().map(|row| row.seq).collect();
    assert!(seqs.len() == 4 && seqs.contains(&oldest) && !seqs.contains(&mortal));
    fixture.store.append(entry(&block, None)).await.unwrap();
    let seqs: Vec<_> = fixture.store.journal(0, 9).unwrap().iter().map(|row| row.seq).collect();
    assert!(seqs.len() == 4 && !seqs.contains(&oldest));
    let ledger = fixture.store.ledger().unwrap();
    assert!(ledger.iter().all(LedgerRow::balanced));
    assert_eq!((ledger[0].expired, ledger[0].dropped.as_slice()), (1, [("full".to_owned(), 1)].as_slice()));
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
    fixture.store.expire_journal().await.unwrap();
    assert_eq!(fixture.store.journal(0, 9).unwrap().len(), 1);
    fixture.clock.advance(Duration::from_hours(1));
    fixture.store.expire_journal().await.unwrap();
    assert_eq!(fixture.store.journal(0, 9).unwrap().len(), 0);
}
