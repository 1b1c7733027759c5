//! A full disk: errors that lose nothing, and heal.

use wire::Kind;

use super::{fixture, upsert};
use crate::error::Context;
use crate::{Store, StoreError};

/// Lets the database have no more than so many pages beyond what it has.
async fn limit(store: &Store, more: Option<i64>) {
    store
        .inner()
        .write(move |work| {
            let now: i64 = work.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).during("count")?;
            let most = more.map_or(1 << 30, |more| now + more);
            work.conn.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(())).during("limit")
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_lost_and_it_heals() {
    let fixture = fixture();
    let store = &fixture.store;
    store.apply(vec![upsert(Kind::Pod, "p", "u", "{\"v\":1}")]).await.unwrap();
    let before = store.digest();
    limit(store, Some(0)).await;
    let large = format!("{{\"v\":\"{}\"}}", "x".repeat(100_000));
    let error = store.apply(vec![upsert(Kind::Pod, "p", "u", &large)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    // Neither the rows nor what is in memory moved.
    assert_eq!(store.digest(), before);
    assert_eq!(store.objects(Kind::Pod).unwrap()[0].body.as_ref(), b"{\"v\":1}");
    // What fits is still taken.
    store.put_pod_state("u", b"{}").await.unwrap();
    limit(store, None).await;
    store.apply(vec![upsert(Kind::Pod, "p", "u", &large)]).await.unwrap();
    assert_eq!(store.objects(Kind::Pod).unwrap()[0].body.as_ref(), large.as_bytes());
}

#[tokio::test]
async fn one_that_does_not_fit_takes_no_other_with_it() {
    let fixture = fixture();
    let store = &fixture.store;
    store.apply(vec![upsert(Kind::Pod, "p", "u", "{\"v\":1}")]).await.unwrap();
    limit(store, Some(0)).await;
    let large = format!("{{\"v\":\"{}\"}}", "x".repeat(100_000));
    // Sent together, so that they share a transaction.
    let (large, small) = tokio::join!(
        store.apply(vec![upsert(Kind::Pod, "p", "u", &large)]),
        store.put_pod_state("u", b"{\"small\":1}"),
    );
    assert!(large.is_err());
    // The small one either shared the fate of a transaction that SQLite gave up as a whole, and says so, or is there.
    let there = !store.pod_states().unwrap().is_empty();
    assert_eq!(small.is_ok(), there);
    store.put_pod_state("u", b"{\"small\":1}").await.unwrap();
    assert_eq!(store.pod_states().unwrap().len(), 1);
}
