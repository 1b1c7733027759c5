//! Who gets in, who does not, and what is said.

use std::time::Duration;

use cloudcore_join::{Api as _, Denied, Identities};
use http::StatusCode;
use kit::Clock;
use pki::{Bound, Identity, NodeIdentity, NodeKey};
use serde_json::json;

use crate::rig::{Answer, NAMESPACE, Rig, forged, key, request};

fn reason(answer: Answer) -> String {
    answer.unwrap_err().1
}

fn identity(node: &str, key: &NodeKey) -> Identity {
    Identity { node: node.to_owned(), spki: key.spki() }
}

#[tokio::test]
async fn a_node_joins_and_may_repeat_it_with_the_same_key() {
    let rig = Rig::new().await;
    let (token, key) = (rig.exact("edge-1").await, key());
    let answer = rig.join(&token, "edge-1", &key).await.unwrap();
    let held = NodeIdentity::new(&key, &answer.certificate).unwrap();
    assert_eq!(held.identity(), &identity("edge-1", &key));
    assert_eq!((answer.cluster_id.as_str(), answer.endpoints.len()), ("cluster-uid", 1));
    pki::link_client(&held, &answer.trust_bundle, &rig.clock).unwrap();
    let writes = rig.fake.writes();
    rig.join(&token, "edge-1", &key).await.unwrap();
    assert_eq!(rig.fake.writes(), writes, "a repeated join writes nothing");
    let record = rig.fake.peek("/api/v1/namespaces/skerry-system/configmaps/node-identity-edge-1").unwrap();
    assert_eq!(record["data"]["spkiSha256"], key.spki().to_string());
}

#[tokio::test]
async fn every_refusal_says_why() {
    let rig = Rig::new().await;
    let token = rig.exact("edge-1").await;
    let first = key();
    assert!(reason(rig.join(&forged(&token), "edge-1", &first).await).contains("another secret"));
    assert!(reason(rig.join(&token, "edge-2", &first).await).contains("for node \"edge-1\""));
    let mut unknown = token.clone();
    unknown.id = "0000000000000000".to_owned();
    assert!(reason(rig.join(&unknown, "edge-1", &first).await).contains("not known"));
    let mut damaged = request(&token, "edge-1", &first);
    damaged.csr.truncate(100);
    let (status, why) = rig.post(&token, &damaged).await.unwrap_err();
    assert!(status == StatusCode::BAD_REQUEST && why.contains("signing request"), "{why}");
    // Nothing of all that used the token up.
    rig.join(&token, "edge-1", &first).await.unwrap();
    let why = reason(rig.join(&token, "edge-1", &key()).await);
    assert!(why.contains("used up (by edge-1)"), "{why}");
    let late = rig.exact("edge-3").await;
    rig.clock.advance(Duration::from_hours(2));
    assert!(reason(rig.join(&late, "edge-3", &key()).await).contains("expired"));
}

#[tokio::test]
async fn a_wrong_pin_ends_in_the_handshake() {
    let (rig, other) = (Rig::new().await, Rig::new().await);
    let token = other.exact("edge-1").await;
    let error = rig.send(&token, "/v1/join", Vec::new()).await.unwrap_err();
    assert!(error.contains("wrong CA pin"), "{error}");
}

#[tokio::test]
async fn a_pattern_admits_new_names_and_takes_none_from_another_key() {
    let rig = Rig::new().await;
    let token = rig.token(Bound::Pattern("edge-*".to_owned()), 2).await;
    let one = key();
    rig.join(&token, "edge-1", &one).await.unwrap();
    assert!(reason(rig.join(&token, "other-1", &key()).await).contains("nodes named like"));
    rig.join(&token, "edge-2", &key()).await.unwrap();
    assert!(reason(rig.join(&token, "edge-3", &key()).await).contains("edge-1, edge-2"));
    let another = rig.token(Bound::Pattern("*".to_owned()), 5).await;
    let (status, why) = rig.join(&another, "edge-1", &key()).await.unwrap_err();
    assert!(status == StatusCode::CONFLICT && why.contains("taken by another key"), "{why}");
    // The same key needs no new right to its own name.
    rig.join(&another, "edge-1", &one).await.unwrap();
}

#[tokio::test]
async fn a_node_that_is_there_goes_to_no_stranger() {
    let rig = Rig::new().await;
    let label = json!({"node-role.kubernetes.io/edge": ""});
    for (name, labels) in [("edge-1", label.clone()), ("worker-1", json!({"a": "b"})), ("plain", json!(null))]
    {
        let node = json!({"metadata": {"name": name, "uid": format!("u-{name}"), "labels": labels}});
        rig.fake.create("/api/v1/nodes", &node).await.unwrap();
    }
    let any = rig.token(Bound::Pattern("*".to_owned()), 1).await;
    for name in ["edge-1", "worker-1", "plain"] {
        let (status, why) = rig.join(&any, name, &key()).await.unwrap_err();
        assert!(status == StatusCode::CONFLICT && why.contains("exists already"), "{why}");
    }
    for name in ["worker-1", "plain"] {
        let why = reason(rig.join(&rig.exact(name).await, name, &key()).await);
        assert!(why.contains("no edge's"), "{why}");
        let record = format!("/api/v1/namespaces/skerry-system/configmaps/node-identity-{name}");
        assert_eq!(rig.fake.peek(&record), None);
    }
    // An edge whose record was lost.
    rig.join(&rig.exact("edge-1").await, "edge-1", &key()).await.unwrap();
    // None of that used the pattern up, and its node may come again when its Node is there.
    let held = key();
    rig.join(&any, "edge-2", &held).await.unwrap();
    let node = json!({"metadata": {"name": "edge-2", "uid": "u", "labels": label}});
    rig.fake.create("/api/v1/nodes", &node).await.unwrap();
    rig.join(&any, "edge-2", &held).await.unwrap();
}

#[tokio::test]
async fn a_node_that_took_a_revoked_name_since_is_not_taken_over() {
    let rig = Rig::new().await;
    let identities = Identities::new(rig.fake.clone(), NAMESPACE, rig.clock.clone());
    rig.join(&rig.exact("edge-1").await, "edge-1", &key()).await.unwrap();
    identities.registered("edge-1", "u-mine").await.unwrap();
    identities.revoke("edge-1", "the Node was deleted").await.unwrap();
    let node = json!({"metadata": {"name": "edge-1", "uid": "u-other"}});
    rig.fake.create("/api/v1/nodes", &node).await.unwrap();
    let why = reason(rig.join(&rig.exact("edge-1").await, "edge-1", &key()).await);
    assert!(why.contains("no edge's"), "{why}");
    // The very Node it had, only its label is gone, is still its own.
    let mut node = rig.fake.peek("/api/v1/nodes/edge-1").unwrap();
    node["metadata"]["uid"] = json!("u-mine");
    rig.fake.replace("/api/v1/nodes/edge-1", &node).await.unwrap();
    rig.join(&rig.exact("edge-1").await, "edge-1", &key()).await.unwrap();
}

#[tokio::test]
async fn an_exact_token_issued_later_rebinds_and_the_old_key_is_out() {
    let rig = Rig::new().await;
    let identities = Identities::new(rig.fake.clone(), NAMESPACE, rig.clock.clone());
    let early = rig.exact("edge-1").await;
    let (old, new) = (key(), key());
    rig.join(&rig.exact("edge-1").await, "edge-1", &old).await.unwrap();
    identities.check(&identity("edge-1", &old)).await.unwrap();
    // Issued before the name was bound.
    assert!(reason(rig.join(&early, "edge-1", &new).await).contains("taken by another key"));
    rig.join(&rig.exact("edge-1").await, "edge-1", &new).await.unwrap();
    identities.check(&identity("edge-1", &new)).await.unwrap();
    let Err(Denied::Revoked(why)) = identities.check(&identity("edge-1", &old)).await else { panic!() };
    assert!(why.contains("generation 2"), "{why}");
}

#[tokio::test]
async fn a_deleted_node_is_out_until_a_new_exact_token_lets_it_in() {
    let rig = Rig::new().await;
    let identities = Identities::new(rig.fake.clone(), NAMESPACE, rig.clock.clone());
    let (token, key) = (rig.exact("edge-1").await, key());
    identities.revoke("edge-1", "the Node was deleted").await.unwrap();
    rig.join(&token, "edge-1", &key).await.unwrap();
    identities.revoke("edge-1", "the Node was deleted").await.unwrap();
    let Err(Denied::Revoked(why)) = identities.check(&identity("edge-1", &key)).await else { panic!() };
    assert!(why.contains("the Node was deleted"), "{why}");
    // The token that once let it in does so no more, and no pattern does.
    assert!(reason(rig.join(&token, "edge-1", &key).await).contains("was revoked"));
    let pattern = rig.token(Bound::Pattern("*".to_owned()), 5).await;
    assert!(reason(rig.join(&pattern, "edge-1", &key).await).contains("was revoked"));
    rig.join(&rig.exact("edge-1").await, "edge-1", &key).await.unwrap();
    identities.check(&identity("edge-1", &key)).await.unwrap();
    // A name that never joined.
    let Err(Denied::Revoked(_)) = identities.check(&identity("edge-2", &key)).await else { panic!() };
}

#[tokio::test]
async fn a_cluster_that_is_away_is_no_refusal_for_good() {
    let rig = Rig::new().await;
    let (token, key) = (rig.exact("edge-1").await, key());
    rig.fake.down(true);
    let (status, why) = rig.join(&token, "edge-1", &key).await.unwrap_err();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!why.contains("fake"), "what is broken is none of a stranger's business: {why}");
    let identities = Identities::new(rig.fake.clone(), NAMESPACE, Clock::system());
    let Err(Denied::Unavailable(_)) = identities.check(&identity("edge-1", &key)).await else { panic!() };
    rig.fake.down(false);
    rig.join(&token, "edge-1", &key).await.unwrap();
}

#[tokio::test]
async fn requests_are_bounded_in_size_shape_and_number() {
    let rig = Rig::new().await;
    let token = rig.exact("edge-1").await;
    let (status, _) = rig.send(&token, "/other", Vec::new()).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = rig.send(&token, "/v1/join", b"{".to_vec()).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let long = rig.send(&token, "/v1/join", vec![b'x'; 1 << 20]).await;
    assert!(long.is_err() || long.is_ok_and(|(status, _)| status == StatusCode::BAD_REQUEST));
    let mut limited = None;
    for _ in 0..40 {
        let (status, body) = rig.send(&token, "/v1/join", b"{".to_vec()).await.unwrap();
        if status == StatusCode::TOO_MANY_REQUESTS {
            limited = Some(body);
            break;
        }
    }
    let body = limited.unwrap();
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("too many join requests"));
}
