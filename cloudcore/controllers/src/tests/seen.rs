//! What is kept, and what is looked at when something changes.

use cloudcore_kube::leader::Term;
use kit::{Elapsed, WallTime};
use serde_json::json;

use super::*;

const FAR: Elapsed = Elapsed::from_millis(60_000);

struct Rig {
    seen: Seen,
    pods: Arc<dyn Observer>,
    nodes: Arc<dyn Observer>,
    namespaces: Arc<dyn Observer>,
}

impl Rig {
    fn new() -> Self {
        let clock = Clock::manual(WallTime(0));
        let seen = Seen::new(clock.clone(), Autonomy::Forever);
        seen.set_term(Some(Term::until(clock, FAR)));
        let [pods, nodes, namespaces] =
            [Which::Pods, Which::Nodes, Which::Namespaces].map(|which| seen.observer(which));
        Self { seen, pods, nodes, namespaces }
    }

    fn pod(&self, uid: &str, change: impl FnOnce(&mut Value)) {
        let mut pod = json!({
            "metadata": {"name": uid, "namespace": "n", "uid": uid, "resourceVersion": "1"},
            "spec": {"nodeName": "edge", "tolerations": [{"key": "k"}]},
        });
        change(&mut pod);
        self.pods.applied(&serde_json::to_vec(&pod).unwrap()).unwrap();
    }

    fn node(&self, uid: &str, change: impl FnOnce(&mut Value)) {
        let mut node = json!({"metadata": {"name": "edge", "uid": uid, "resourceVersion": "1",
            "labels": {"node-role.kubernetes.io/edge": ""}}});
        change(&mut node);
        self.nodes.applied(&serde_json::to_vec(&node).unwrap()).unwrap();
    }

    fn namespace(&self, autonomy: Option<&str>) {
        let namespace = json!({"metadata": {"name": "n", "uid": "n1", "resourceVersion": "1",
            "annotations": {"skerry.io/autonomy": autonomy}}});
        self.namespaces.applied(&serde_json::to_vec(&namespace).unwrap()).unwrap();
    }

    /// The pods that are due, which are then looked at.
    fn due(&self) -> Vec<String> {
        self.seen.with(|state| {
            let due: Vec<_> = std::iter::from_fn(|| state.pods_due.next(FAR)).collect();
            for uid in &due {
                state.pods_due.done(uid);
            }
            due.iter().map(ToString::to_string).collect()
        })
    }
}

#[test]
fn pods_are_looked_at_when_what_their_policy_is_made_of_changes() {
    let rig = Rig::new();
    rig.pod("p", |_| {});
    assert_eq!(rig.due(), ["p"]);
    rig.node("u", |_| {});
    assert_eq!(rig.due(), ["p"], "its Node is an edge's");
    rig.node("u", |node| node["status"] = json!({"conditions": [{"type": "Ready", "status": "Unknown"}]}));
    assert_eq!(rig.due(), [""; 0], "a status is none of its business");
    rig.node("u", |node| node["metadata"]["annotations"] = json!({"skerry.io/autonomy": "off"}));
    assert_eq!(rig.due(), ["p"]);
    rig.namespace(None);
    rig.namespace(Some("1h"));
    assert_eq!(rig.due(), ["p"]);
    rig.namespace(Some("1h"));
    assert_eq!(rig.due(), [""; 0]);
    let annotations = rig.seen.with(|state| {
        let pod = state.pods.get("p").unwrap();
        let said = state.annotations(pod);
        (said.namespace.map(str::to_owned), said.node.map(str::to_owned))
    });
    assert_eq!(annotations, (Some("1h".to_owned()), Some("off".to_owned())));
}

#[test]
fn what_is_over_or_gone_is_not_kept() {
    let rig = Rig::new();
    rig.pod("bound", |_| {});
    rig.pod("loose", |pod| pod["spec"]["nodeName"] = Value::Null);
    rig.pod("over", |pod| pod["status"] = json!({"phase": "Failed"}));
    rig.pod("going", |pod| pod["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z"));
    let kept = || rig.seen.with(|state| state.pods.keys().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(kept(), ["bound"]);
    // A list of whose items one cannot be told proves no absence.
    rig.pods.listed(None);
    assert_eq!(kept(), ["bound"]);
    rig.pods.listed(Some(&BTreeSet::from(["loose".to_owned()])));
    assert_eq!(kept(), [""; 0]);
    assert!(!rig.seen.with(|state| state.is_complete()));
    rig.nodes.listed(None);
    rig.namespaces.listed(None);
    assert!(rig.seen.with(|state| state.is_complete()));
}

#[test]
fn when_a_pod_was_bound_is_known_of_those_that_came_later() {
    let clock = Clock::manual(WallTime(0));
    let seen = Seen::new(clock.clone(), Autonomy::Forever);
    let pods = seen.observer(Which::Pods);
    let see = |uid: &str, version: &str| {
        let pod = json!({"metadata": {"name": uid, "namespace": "n", "uid": uid, "resourceVersion": version},
            "spec": {"nodeName": "edge"}});
        pods.applied(&serde_json::to_vec(&pod).unwrap()).unwrap();
        seen.with(|state| state.pods.get(uid).unwrap().bound)
    };
    assert_eq!(see("old", "1"), None);
    pods.listed(None);
    clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(see("new", "2"), Some(Elapsed::from_millis(5_000)));
    clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(see("new", "3"), Some(Elapsed::from_millis(5_000)), "it is bound once");
    assert_eq!(see("old", "4"), None);
}

#[test]
fn a_pod_is_looked_at_when_its_node_goes_away() {
    let rig = Rig::new();
    rig.pod("p", |_| {});
    let connected = |status: &str| json!({"conditions": [{"type": "skerry.io/Connected", "status": status}]});
    rig.node("u", |node| node["status"] = connected("True"));
    assert_eq!(rig.due(), ["p"]);
    rig.node("u", |node| node["status"] = connected("False"));
    assert_eq!(rig.due(), ["p"]);
}

#[test]
fn a_node_made_anew_takes_its_predecessors_place() {
    let rig = Rig::new();
    rig.node("old", |_| {});
    rig.node("new", |_| {});
    rig.nodes.deleted("old");
    assert_eq!(
        rig.seen.with(|state| state.node("edge").map(|(uid, _)| uid.to_string())).as_deref(),
        Some("new")
    );
}

#[test]
fn what_cannot_be_read_is_said_and_the_last_good_version_stays() {
    let rig = Rig::new();
    rig.pod("p", |_| {});
    let broken = json!({"metadata": {"name": "p", "namespace": "n", "uid": "p", "resourceVersion": "2"},
        "spec": {"nodeName": "edge", "tolerations": 7}});
    let error = rig.pods.applied(&serde_json::to_vec(&broken).unwrap()).unwrap_err();
    assert!(error.contains("spec.tolerations"), "{error}");
    assert_eq!(rig.seen.with(|state| state.pods["p"].version.to_string()), "1");
}

#[test]
fn taints_and_conditions_are_found() {
    let rig = Rig::new();
    rig.node("u", |node| {
        node["spec"] = json!({"taints": [
            {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule", "timeAdded": "1970-01-01T00:00:01Z"},
            {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:02Z"}]});
        node["status"] = json!({"conditions": [{"type": "Ready", "status": "Unknown"},
            {"type": "skerry.io/Connected", "status": "False", "reason": "Silent", "message": "m",
                "lastTransitionTime": "1970-01-01T00:00:03Z"}]});
    });
    let node = rig.seen.with(|state| state.nodes["u"].clone());
    assert_eq!((node.tainted, node.given_up, node.edge), (Some(WallTime(2_000)), true, true));
    let shown = node.connected.unwrap();
    assert_eq!((shown.status, &*shown.reason, shown.since), (false, "Silent", Some(WallTime(3_000))));
}
