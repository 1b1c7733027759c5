//! Absence must be known.

use std::collections::BTreeSet;

use cloudcore_kube::watch::{Named, Observer};
use cloudcore_kube::{ApiStatus, KubeError};
use wire::{KINDS, Kind};

use super::{apply, plain, pod};
use crate::Index;

fn refused() -> KubeError {
    let status = ApiStatus { code: 403, reason: "Forbidden".into(), message: "no".into(), retry_after: None };
    KubeError::Api { request: "GET /x".into(), status }
}

fn uids(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|uid| (*uid).to_owned()).collect()
}

#[test]
fn a_kind_that_is_not_listed_or_broken_deletes_nothing() {
    let index = Index::new();
    assert_eq!(index.unlisted().len(), KINDS.len());
    for kind in KINDS {
        assert!(!index.may_delete(kind));
        index.observer(kind).listed(Some(&BTreeSet::new()));
    }
    assert!(index.unlisted().is_empty());
    index.observer(Kind::Secret).broken(&refused());
    assert!(!index.may_delete(Kind::Secret) && index.may_delete(Kind::ConfigMap));
    index.observer(Kind::Pod).broken(&refused());
    // What pods name is known no better than the pods are.
    assert!(KINDS.into_iter().all(|kind| !index.may_delete(kind)));
    index.observer(Kind::Pod).healthy();
    assert!(index.may_delete(Kind::ConfigMap));
}

#[test]
fn a_list_forgets_only_what_it_did_not_see() {
    let index = Index::new();
    apply(&index, Kind::ConfigMap, &plain("a", "ua", "1"));
    apply(&index, Kind::ConfigMap, &plain("b", "ub", "1"));
    index.observer(Kind::ConfigMap).listed(None);
    assert!(index.object(Kind::ConfigMap, "ua").is_some(), "nobody knows what the unnamed item was");
    index.observer(Kind::ConfigMap).listed(Some(&uids(&["ub"])));
    assert!(index.object(Kind::ConfigMap, "ua").is_none() && index.object(Kind::ConfigMap, "ub").is_some());
}

#[test]
fn something_without_a_uid_may_be_anything_until_a_list_tells_all() {
    for listed in [false, true] {
        let index = Index::new();
        for kind in KINDS {
            index.observer(kind).listed(Some(&BTreeSet::new()));
        }
        apply(&index, Kind::Pod, &pod("p", "up", "n", "c", "s"));
        if listed {
            index.observer(Kind::Pod).listed(None);
        } else {
            index.observer(Kind::Pod).skipped(&Named::default());
        }
        index.observer(Kind::Pod).healthy();
        assert!(KINDS.into_iter().all(|kind| !index.may_delete(kind)));
        assert!(index.unlisted().is_empty(), "the others are served");
        index.observer(Kind::Pod).listed(Some(&uids(&["up"])));
        assert!(KINDS.into_iter().all(|kind| index.may_delete(kind)));
    }
}

#[test]
fn nodes_are_not_listed_before_every_one_of_them_is_known() {
    let index = Index::new();
    for kind in KINDS {
        index.observer(kind).listed(None);
    }
    assert_eq!(index.unlisted(), [Kind::Node]);
    index.observer(Kind::Node).listed(Some(&BTreeSet::new()));
    assert!(index.unlisted().is_empty());
}

#[test]
fn what_exists_and_was_never_readable_is_not_absent() {
    let index = Index::new();
    for kind in KINDS {
        index.observer(kind).listed(Some(&BTreeSet::new()));
    }
    let named = Named { uid: "up".into(), ..Named::default() };
    index.observer(Kind::Pod).skipped(&named);
    assert!(index.is_unreadable(Kind::Pod, "up"));
    assert!(index.may_delete(Kind::Pod) && !index.may_delete(Kind::Secret), "it may name any Secret");
    apply(&index, Kind::Pod, &pod("p", "up", "n", "c", "s"));
    assert!(!index.is_unreadable(Kind::Pod, "up") && index.may_delete(Kind::Secret));
    // The previous good version stays in use, but what the newer one names instead is not known.
    index.observer(Kind::Pod).skipped(&named);
    assert!(index.object(Kind::Pod, "up").is_some());
    assert!(index.is_unreadable(Kind::Pod, "up") && !index.may_delete(Kind::Secret));
    index.observer(Kind::Pod).listed(Some(&uids(&["up"])));
    assert!(!index.may_delete(Kind::Secret), "the list shows that it exists, not what it names");
    index.observer(Kind::Pod).deleted("up");
    assert!(!index.is_unreadable(Kind::Pod, "up") && index.may_delete(Kind::Secret));
}

#[test]
fn an_older_version_says_nothing_sure_of_what_nobody_names() {
    let index = Index::new();
    for kind in KINDS {
        index.observer(kind).listed(Some(&BTreeSet::new()));
    }
    apply(&index, Kind::Secret, &plain("s", "us", "1"));
    apply(&index, Kind::Pod, &pod("p", "up", "n", "c", "s"));
    apply(&index, Kind::Pod, &pod("q", "uq", "n", "c", "other"));
    let session = index.subscribe("n");
    // The pod q may well name the Secret by now; p names it no more.
    index.observer(Kind::Pod).skipped(&Named { uid: "uq".into(), ..Named::default() });
    index.observer(Kind::Pod).deleted("up");
    assert!(session.get(Kind::Secret, "us").is_none() && !session.may_delete(Kind::Secret, "us"));
    apply(&index, Kind::Pod, &pod("q", "uq", "n", "c", "s"));
    assert!(session.get(Kind::Secret, "us").is_some() && session.may_delete(Kind::Secret, "gone"));
}

#[test]
fn who_follows_no_more_knows_of_no_absence() {
    let index = Index::new();
    for kind in KINDS {
        index.observer(kind).listed(Some(&BTreeSet::new()));
    }
    apply(&index, Kind::Pod, &pod("p", "up", "n", "c", "s"));
    let former = index.subscribe("n");
    assert!(former.get(Kind::Pod, "up").is_some() && former.is_current());
    assert!(former.may_delete(Kind::Pod, "gone"));
    let latter = index.subscribe("n");
    assert!(former.get(Kind::Pod, "up").is_none() && !former.is_current());
    assert!(KINDS.into_iter().all(|kind| !former.may_delete(kind, "up")));
    assert!(latter.get(Kind::Pod, "up").is_some() && latter.may_delete(Kind::Pod, "gone"));
    assert!(latter.has_all_pods() && !former.has_all_pods());
    index.observer(Kind::Pod).skipped(&Named { uid: "ux".into(), ..Named::default() });
    assert!(!latter.may_delete(Kind::Pod, "ux") && latter.may_delete(Kind::Pod, "gone"));
    assert!(!latter.has_all_pods(), "the one that cannot be read may be this node's");
    index.observer(Kind::Pod).deleted("ux");
    assert!(latter.has_all_pods());
    index.observer(Kind::Pod).broken(&refused());
    assert!(!latter.has_all_pods());
}

#[test]
fn a_deleted_node_is_told_once() {
    let index = Index::new();
    apply(&index, Kind::Node, &super::node("n", "un"));
    index.observer(Kind::Node).deleted("un");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let told = runtime.block_on(index.deleted_nodes());
    assert!(told.iter().map(|name| &**name).eq(["n"]));
}

#[test]
fn an_edge_is_told_no_less_than_what_it_may_have_been_sent() {
    let index = Index::with_own_bodies();
    let pods = index.observer(Kind::Pod);
    pods.listed(Some(&BTreeSet::new()));
    pods.progressed("99");
    // An event is taken in steps, and a session may look between any two of them.
    pods.coming("100");
    assert_eq!((index.seen_of(Kind::Pod), index.seen_at_most(Kind::Pod)), (Some(99), Some(100)));
    pods.deleted("u");
    assert_eq!((index.seen_of(Kind::Pod), index.seen_at_most(Kind::Pod)), (Some(99), Some(100)));
    pods.progressed("100");
    assert_eq!((index.seen_of(Kind::Pod), index.seen_at_most(Kind::Pod)), (Some(100), Some(100)));
    // A cluster that was put back to an earlier time: while it is listed again, what was seen before still counts.
    pods.coming("50");
    assert_eq!((index.seen_of(Kind::Pod), index.seen_at_most(Kind::Pod)), (Some(100), Some(100)));
    pods.progressed("50");
    assert_eq!((index.seen_of(Kind::Pod), index.seen_at_most(Kind::Pod)), (Some(50), Some(50)));
    assert_eq!(index.seen()[0].resource_version, "50");
}
