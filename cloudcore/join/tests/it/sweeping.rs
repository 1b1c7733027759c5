//! Tokens that expired are collected, and no others.

use std::time::Duration;

use cloudcore_join::{Swept, TokenSpec, authority, create_token, sweep};
use kit::{Clock, WallTime};
use pki::Bound;
use serde_json::json;

use crate::fake::Fake;
use crate::rig::NAMESPACE;

async fn token(fake: &Fake, clock: &Clock, hours: u64) -> String {
    let ca = authority(fake, NAMESPACE, clock).await.unwrap();
    let spec = TokenSpec { bound: Bound::Pattern("*".to_owned()), ttl: Duration::from_hours(hours), uses: 1 };
    let join = ["https://127.0.0.1:1".to_owned()];
    let link = ["wss://127.0.0.1:2/v1/connect".to_owned()];
    let token = create_token(fake, NAMESPACE, &ca, (&join, &link), &spec, clock).await.unwrap();
    format!("/api/v1/namespaces/{NAMESPACE}/secrets/join-token-{}", token.id)
}

#[tokio::test]
async fn what_expired_an_hour_ago_goes_and_the_rest_stays() {
    let fake = Fake::default();
    let clock = Clock::manual(WallTime(1_767_225_600_000));
    let short = [token(&fake, &clock, 1).await, token(&fake, &clock, 1).await, token(&fake, &clock, 1).await];
    let long = token(&fake, &clock, 48).await;
    clock.advance(Duration::from_mins(119));
    assert_eq!(sweep(&fake, NAMESPACE, &clock, || true).await.unwrap(), Swept { deleted: 0, kept: 4 });
    clock.advance(Duration::from_mins(1));
    assert_eq!(sweep(&fake, NAMESPACE, &clock, || false).await.unwrap(), Swept { deleted: 0, kept: 1 });
    assert_eq!(sweep(&fake, NAMESPACE, &clock, || true).await.unwrap(), Swept { deleted: 3, kept: 1 });
    assert!(short.iter().all(|path| fake.peek(path).is_none()));
    assert!(fake.peek(&long).is_some());
    assert!(fake.peek(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/skerry-ca")).is_some());
}

#[tokio::test]
async fn what_cannot_be_read_stays() {
    let fake = Fake::default();
    let clock = Clock::manual(WallTime(1_767_225_600_000));
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let broken = json!({"type": "skerry.io/join-token", "metadata": {"name": "join-token-0123456789abcdef"}, "data": {}});
    cloudcore_join::Api::create(&fake, &secrets, &broken).await.unwrap();
    clock.advance(Duration::from_hours(10_000));
    assert_eq!(sweep(&fake, NAMESPACE, &clock, || true).await.unwrap(), Swept { deleted: 0, kept: 1 });
}
