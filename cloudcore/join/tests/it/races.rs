//! Several at once: exactly one wins.

use cloudcore_join::authority;
use futures::future::join_all;
use kit::{Clock, WallTime};

use crate::fake::Fake;
use crate::rig::{NAMESPACE, key, shared};

#[tokio::test]
async fn one_ca_is_made_and_everybody_has_it() {
    let fake = Fake::default();
    let clock = Clock::manual(WallTime(1_767_225_600_000));
    let all = join_all((0..8).map(|_| authority(&fake, NAMESPACE, &clock))).await;
    let pins: std::collections::BTreeSet<_> = all.into_iter().map(|ca| ca.unwrap().pin().unwrap()).collect();
    assert_eq!(pins.len(), 1);
    assert_eq!(fake.writes(), 1);
}

#[tokio::test]
async fn one_of_many_keys_gets_a_token_with_one_use() {
    let rig = shared().await;
    let token = rig.exact("edge-1").await;
    let keys: Vec<_> = (0..8).map(|_| key()).collect();
    let answers = join_all(keys.iter().map(|key| rig.join(&token, "edge-1", key))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let winner = answers.iter().position(Result::is_ok).unwrap();
    let record = rig.fake.peek("/api/v1/namespaces/skerry-system/configmaps/node-identity-edge-1").unwrap();
    assert_eq!(record["data"]["spkiSha256"], keys[winner].spki().to_string());
}

#[tokio::test]
async fn uses_of_a_counted_token_are_not_lost_in_a_race() {
    let rig = shared().await;
    let token = rig.token(pki::Bound::Pattern("edge-*".to_owned()), 4).await;
    let keys: Vec<_> = (0..7).map(|n| (format!("edge-{n}"), key())).collect();
    let answers = join_all(keys.iter().map(|(name, key)| rig.join(&token, name, key))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4);
}
