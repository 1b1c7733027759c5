//! Tokens survive, age by elapsed time, and are replaced rather than removed.

use std::time::Duration;

use kit::{Masked, WallTime};
use wire::Kind;

use super::{fixture, open, upsert};
use crate::{Store, TokenKey};

fn wanted() -> TokenKey {
    TokenKey {
        pod_uid: "p1".to_owned(),
        namespace: "default".to_owned(),
        pod_name: "p".to_owned(),
        service_account: "default".to_owned(),
        audiences: vec!["vault".to_owned()],
        expiration_seconds: 3600,
    }
}

#[tokio::test]
async fn only_pods_of_this_node_want_tokens_and_only_once() {
    let fixture = fixture();
    assert!(!fixture.store.want_token(wanted()).await.unwrap());
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "p1", "{}")]).await.unwrap();
    let mut news = fixture.store.watch_tokens();
    assert!(fixture.store.want_token(wanted()).await.unwrap());
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    assert!(!fixture.store.want_token(wanted()).await.unwrap());
    assert!(!news.has_changed().unwrap());
    let found = fixture.store.wanted_tokens().unwrap();
    assert_eq!((found.len(), &found[0].key, &found[0].token), (1, &wanted(), &None));
}

#[tokio::test]
async fn a_token_survives_a_reboot_and_says_when_it_wants_renewal() {
    let fixture = fixture();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "p1", "{}")]).await.unwrap();
    fixture.store.want_token(wanted()).await.unwrap();
    let life = Duration::from_secs(1000);
    let put = fixture.store.put_token(&wanted(), Masked("tok".to_owned()), WallTime(5), life).await;
    assert!(put.unwrap());
    let token = fixture.store.token(&wanted()).unwrap().unwrap();
    assert_eq!((token.token.0.as_str(), token.expires, token.life), ("tok", WallTime(5), life));

    fixture.clock.advance(Duration::from_secs(799));
    assert!(!token.wants_renewal(&fixture.store.stamp()));
    fixture.clock.advance(Duration::from_secs(1));
    assert!(token.wants_renewal(&fixture.store.stamp()) && !token.expired(&fixture.store.stamp()));

    // After a reboot with a clock nobody confirmed its age is unknown: renewed at the first chance, never expired.
    let (dir, clock) = (fixture.dir, fixture.clock);
    drop(fixture.store);
    let store = Store::open_in_boot(dir.path(), clock.clone(), "boot-2").unwrap().store;
    let token = store.token(&wanted()).unwrap().unwrap();
    assert_eq!(token.token.0, "tok");
    clock.advance(Duration::from_secs(999_999));
    assert!(token.wants_renewal(&store.stamp()) && !token.expired(&store.stamp()));
}

#[tokio::test]
async fn a_refusal_is_told_and_forgotten_when_a_token_comes() {
    let fixture = fixture();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "p1", "{}")]).await.unwrap();
    fixture.store.want_token(wanted()).await.unwrap();
    let mut news = fixture.store.watch_tokens();
    fixture.store.note_token_refused(&wanted(), "forbidden");
    assert_eq!(fixture.store.token_refusal(&wanted()).as_deref(), Some("forbidden"));
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    fixture.store.note_token_refused(&wanted(), "forbidden");
    assert!(!news.has_changed().unwrap());
    let life = Duration::from_secs(1);
    fixture.store.put_token(&wanted(), Masked("t".to_owned()), WallTime(0), life).await.unwrap();
    assert_eq!(fixture.store.token_refusal(&wanted()), None);
}

#[tokio::test]
async fn the_plain_token_is_in_no_file() {
    let fixture = fixture();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "p1", "{}")]).await.unwrap();
    fixture.store.apply(vec![upsert(Kind::Secret, "s", "s1", "{\"data\":\"hush-hush\"}")]).await.unwrap();
    fixture.store.want_token(wanted()).await.unwrap();
    let life = Duration::from_secs(1);
    fixture.store.put_token(&wanted(), Masked("hush-hush".to_owned()), WallTime(0), life).await.unwrap();
    for file in std::fs::read_dir(fixture.dir.path()).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!content.windows(9).any(|part| part == b"hush-hush"));
    }
    drop(fixture.store);
    let store = open(fixture.dir.path(), &fixture.clock).store;
    assert_eq!(store.objects(Kind::Secret).unwrap()[0].body.as_ref(), b"{\"data\":\"hush-hush\"}");
}
