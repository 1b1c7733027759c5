//! What the cache says, through what a watch may see.

use super::*;
use kit::WallTime;
use pki::Spki;

fn object(node: &str, uid: &str, key: u8) -> Value {
    let record = Record {
        node: node.to_owned(),
        spki: Spki([key; 32]),
        generation: 1,
        bound: WallTime(0),
        node_uid: None,
        revoked: None,
    };
    let mut object = record::to_object(&record, "ns", None);
    object["metadata"]["uid"] = serde_json::json!(uid);
    object
}

fn apply(following: &Following, object: &Value) -> Result<(), String> {
    following.applied(object.to_string().as_bytes())
}

fn holds(following: &Following, node: &str, key: u8) -> bool {
    following.0.holds(&Identity { node: node.to_owned(), spki: Spki([key; 32]) })
}

fn seen(uids: &[&str]) -> BTreeSet<String> {
    uids.iter().map(|uid| (*uid).to_owned()).collect()
}

#[test]
fn nothing_is_believed_before_the_list_is_whole_nor_while_the_watch_is_broken() {
    let following = Following(Arc::default());
    following.healthy();
    apply(&following, &object("a", "1", 1)).unwrap();
    assert!(!holds(&following, "a", 1));
    // An item could not be named: absence and change are not known.
    following.listed(None);
    assert!(!holds(&following, "a", 1));
    following.listed(Some(&seen(&["1"])));
    assert!(holds(&following, "a", 1) && !holds(&following, "a", 2) && !holds(&following, "b", 1));
    let status = cloudcore_kube::ApiStatus {
        code: 500,
        reason: String::new(),
        message: String::new(),
        retry_after: None,
    };
    following.broken(&KubeError::Api { request: String::new(), status });
    assert!(!holds(&following, "a", 1));
    following.healthy();
    assert!(holds(&following, "a", 1));
    following.listed(Some(&seen(&[])));
    assert!(!holds(&following, "a", 1));
}

#[test]
fn changes_deletions_and_damage_end_what_was_believed() {
    let following = Following(Arc::default());
    following.listed(Some(&seen(&[])));
    following.healthy();
    apply(&following, &object("a", "1", 1)).unwrap();
    apply(&following, &object("a", "1", 2)).unwrap();
    assert!(!holds(&following, "a", 1) && holds(&following, "a", 2));
    // Deleted and made anew: the late deletion of the old one does not touch the new one.
    apply(&following, &object("a", "2", 3)).unwrap();
    following.deleted("1");
    assert!(holds(&following, "a", 3));
    let mut damaged = object("a", "2", 3);
    damaged["data"]["spkiSha256"] = serde_json::json!("x");
    apply(&following, &damaged).unwrap_err();
    assert!(!holds(&following, "a", 3));
    // Other ConfigMaps of the namespace are none of its business.
    following.applied(br#"{"metadata":{"name":"kube-root-ca.crt","uid":"9"}}"#).unwrap();
}
