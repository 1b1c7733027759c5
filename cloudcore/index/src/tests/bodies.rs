//! Bodies are kept of what connected nodes want, and of nothing else.

use std::collections::BTreeSet;

use cloudcore_kube::watch::{Named, Observer};
use serde_json::json;
use wire::{KINDS, Kind};

use super::{apply, node, plain, pod};
use crate::{Index, Subscription};

/// Two nodes with a pod each; both pods name the ConfigMap `c`, each a Secret of its own.
fn index() -> Index {
    let index = Index::with_own_bodies();
    for kind in KINDS {
        index.observer(kind).listed(Some(&BTreeSet::new()));
    }
    for n in ["1", "2"] {
        apply(&index, Kind::Node, &node(&format!("n{n}"), &format!("un{n}")));
        apply(&index, Kind::Secret, &plain(&format!("s{n}"), &format!("us{n}"), "x"));
        let names = (format!("p{n}"), format!("up{n}"), format!("n{n}"), format!("s{n}"));
        apply(&index, Kind::Pod, &pod(&names.0, &names.1, &names.2, "c", &names.3));
    }
    apply(&index, Kind::ConfigMap, &plain("c", "uc", "1"));
    index
}

/// UIDs of a set, and of those of it whose body is there.
fn set(subscription: &Subscription) -> (Vec<String>, Vec<String>) {
    let all = subscription.snapshot();
    let whole = all.iter().filter(|(kind, uid, _)| subscription.get(*kind, uid).unwrap().body.is_some());
    let uids = |(_, uid, _): &(Kind, std::sync::Arc<str>, wire::Version)| uid.to_string();
    (all.iter().map(uids).collect(), whole.map(uids).collect())
}

#[test]
fn a_node_that_connects_has_its_versions_at_once_and_its_bodies_when_they_were_read() {
    let index = index();
    assert_eq!(index.bodies(), 0);
    let one = index.subscribe("n1");
    assert_eq!(set(&one), (["un1", "uc", "us1", "up1"].map(String::from).to_vec(), Vec::new()));
    let secret = plain("s1", "us1", "x");
    let version = one.get(Kind::Secret, "us1").unwrap().version;
    assert!(index.lacks(Kind::Secret, "us1", version));
    index.offer(Kind::Secret, secret.to_string().as_bytes()).unwrap();
    assert!(!index.lacks(Kind::Secret, "us1", version));
    let body = one.get(Kind::Secret, "us1").unwrap().json().unwrap().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["data"], secret["data"]);
    // What another node wants, or is of another version than the index knows, is not kept.
    index.offer(Kind::Secret, plain("s2", "us2", "x").to_string().as_bytes()).unwrap();
    index.offer(Kind::ConfigMap, plain("c", "uc", "newer").to_string().as_bytes()).unwrap();
    assert_eq!(index.bodies(), 1);
}

#[test]
fn what_changes_is_kept_where_somebody_wants_it_and_shared() {
    let index = index();
    let (one, two) = (index.subscribe("n1"), index.subscribe("n2"));
    apply(&index, Kind::ConfigMap, &plain("c", "uc", "2"));
    let body =
        |subscription: &Subscription| subscription.get(Kind::ConfigMap, "uc").unwrap().body.clone().unwrap();
    assert!(std::sync::Arc::ptr_eq(&body(&one), &body(&two)), "packed once for both");
    apply(&index, Kind::Secret, &plain("s1", "us1", "2"));
    assert_eq!(index.bodies(), 2);
    // A Secret that only the other node wants goes with it; what both want stays for the one that stays.
    drop(one);
    assert_eq!(index.bodies(), 1);
    apply(&index, Kind::Secret, &plain("s1", "us1", "3"));
    assert_eq!(index.bodies(), 1);
    index.observer(Kind::Pod).deleted("up2");
    assert_eq!(index.bodies(), 0, "nobody names it any more");
    assert!(two.get(Kind::ConfigMap, "uc").is_none());
}

#[test]
fn an_equal_version_that_comes_again_brings_the_body_that_was_missing() {
    let index = index();
    let one = index.subscribe("n1");
    let mut again = plain("c", "uc", "1");
    again["metadata"]["resourceVersion"] = json!("2");
    apply(&index, Kind::ConfigMap, &again);
    assert_eq!(set(&one).1, ["uc"]);
}

#[test]
fn what_cannot_be_read_and_has_no_body_is_left_as_the_edge_has_it() {
    let index = index();
    let one = index.subscribe("n1");
    let skipped = Named { uid: "uc".into(), ..Named::default() };
    index.observer(Kind::ConfigMap).skipped(&skipped);
    assert!(one.get(Kind::ConfigMap, "uc").is_none() && !one.may_delete(Kind::ConfigMap, "uc"));
    // A whole one of the same version is news all the same: nobody could send it so far.
    one.take().unwrap();
    apply(&index, Kind::ConfigMap, &plain("c", "uc", "1"));
    assert!(one.get(Kind::ConfigMap, "uc").is_some());
    assert_eq!(one.take().unwrap().objects, BTreeSet::from([(Kind::ConfigMap, "uc".into())]));
    // With its body here, the last good version is still served.
    index.observer(Kind::ConfigMap).skipped(&skipped);
    assert!(one.get(Kind::ConfigMap, "uc").is_some());
}

#[test]
fn every_kind_has_its_numbers() {
    let index = index();
    let _one = index.subscribe("n1");
    apply(&index, Kind::ConfigMap, &plain("c", "uc", "2"));
    let mut registry = prometheus_client::registry::Registry::default();
    index.register(&mut registry);
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    for line in ["objects{kind=\"Pod\"} 2", "bodies{kind=\"Pod\"} 0", "bodies{kind=\"ConfigMap\"} 1"] {
        assert!(page.contains(&format!("skerry_index_{line}")), "{line}: {page}");
    }
    assert_eq!(page.matches("skerry_index_bodies{").count(), KINDS.len());
}
