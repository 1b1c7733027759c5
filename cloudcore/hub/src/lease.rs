//! The Node's Lease: a session's number and owner. Pure.
//!
//! `holderIdentity` stays the node's name, as node-lifecycle expects; which replica holds the session, and its
//! number, stand in annotations. Every write carries the resourceVersion it was based on.

use std::time::Duration;

use cloudcore_kube::node_lease;
use kit::WallTime;
use serde_json::{Value, json};

pub use cloudcore_kube::node_lease::{EPOCH, NAMESPACE, REPLICA};

/// Seconds after which the Lease is taken for abandoned; upstream's kubelet says the same.
pub(crate) const DURATION_SECONDS: u32 = 40;

/// The Lease is renewed by a heartbeat when the last renewal is so old: a little less than a beat, as a kubelet does.
const RENEW_AFTER: Duration = Duration::from_millis(9_500);
/// A replica with more sessions than this renews each Lease at every second beat only: half of [`DURATION_SECONDS`].
const MANY: usize = 1_000;
const RENEW_AFTER_OF_MANY: Duration = Duration::from_millis(19_500);

/// The same while more edges want a session than can have one: at every third beat, which still leaves one more before the
/// Lease is over. A renewal then takes the place of an opening, and who waits for that has nobody who renews its Lease.
const RENEW_AFTER_IN_A_CROWD: Duration = Duration::from_millis(29_500);

/// How old the last renewal must be for the next one, on a replica with so many sessions, and with edges that wait for one
/// (`crowd`) or without.
pub(crate) const fn renew_after(sessions: usize, crowd: bool) -> Duration {
    match (sessions > MANY, crowd) {
        (true, true) => RENEW_AFTER_IN_A_CROWD,
        (true, false) => RENEW_AFTER_OF_MANY,
        (false, _) => RENEW_AFTER,
    }
}

/// How old the Lease that a session opened with counts: of many sessions that open at one instant half renew a beat
/// earlier than the others. `random` in [0, 1).
pub(crate) fn head_start(random: f64) -> Duration {
    if random < 0.5 { RENEW_AFTER_OF_MANY.saturating_sub(RENEW_AFTER) } else { Duration::ZERO }
}

/// Who holds a session, as the Lease says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// Number of the session; 0 where there never was one.
    pub epoch: u64,
    /// Replica; empty where there never was one.
    pub replica: String,
}

/// Reads who holds the session.
pub fn holder(lease: &Value) -> Holder {
    Holder { epoch: node_lease::epoch(lease), replica: node_lease::annotation(lease, REPLICA).to_owned() }
}

/// The Lease that opens a session: after `found`, and after whatever session the edge remembers.
pub fn open(found: Option<Value>, node: &str, replica: &str, last_epoch: u64, now: WallTime) -> (Value, u64) {
    let epoch = found.as_ref().map_or(0, |lease| holder(lease).epoch).max(last_epoch).saturating_add(1);
    let mut lease = found.unwrap_or_else(|| {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": node, "namespace": NAMESPACE},
            "spec": {},
        })
    });
    put(&mut lease, "metadata", "annotations", |annotations| {
        annotations.insert(EPOCH.to_owned(), Value::from(epoch.to_string()));
        annotations.insert(REPLICA.to_owned(), Value::from(replica));
    });
    (renewed(lease, node, now), epoch)
}

/// The JSON patch (RFC 6902) that opens a session after session `last_epoch`, and no other, without reading the Lease first:
/// what opens a session is then one request and not two.
pub fn reopen(node: &str, replica: &str, last_epoch: u64, node_uid: &str, now: WallTime) -> (Value, u64) {
    let epoch = last_epoch.saturating_add(1);
    let annotation =
        |name: &str| format!("/metadata/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
    let op = |op: &str, path: &str, value: Value| json!({"op": op, "path": path, "value": value});
    let mut operations = vec![
        op("test", &annotation(EPOCH), last_epoch.to_string().into()),
        op("replace", &annotation(EPOCH), epoch.to_string().into()),
        op("add", &annotation(REPLICA), replica.into()),
        op("add", "/spec/holderIdentity", node.into()),
        op("add", "/spec/leaseDurationSeconds", DURATION_SECONDS.into()),
        op("add", "/spec/renewTime", now.micro_rfc3339().into()),
    ];
    if !node_uid.is_empty() {
        operations.push(op("add", "/metadata/ownerReferences", owners(node, node_uid)));
    }
    (Value::Array(operations), epoch)
}

/// The Lease renewed.
pub fn renewed(mut lease: Value, node: &str, now: WallTime) -> Value {
    if let Some(lease) = lease.as_object_mut() {
        let spec = lease.entry("spec").or_insert_with(|| json!({}));
        if !spec.is_object() {
            *spec = json!({});
        }
        if let Some(spec) = spec.as_object_mut() {
            spec.insert("holderIdentity".to_owned(), Value::from(node));
            spec.insert("leaseDurationSeconds".to_owned(), Value::from(DURATION_SECONDS));
            spec.insert("renewTime".to_owned(), Value::from(now.micro_rfc3339()));
        }
    }
    lease
}

/// Makes the Lease go with its Node, as a kubelet's does.
pub fn owned_by(mut lease: Value, node: &str, uid: &str) -> Value {
    if let Some(metadata) = lease.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("ownerReferences".to_owned(), owners(node, uid));
    }
    lease
}

fn owners(node: &str, uid: &str) -> Value {
    json!([{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}])
}

fn put(
    lease: &mut Value,
    outer: &str,
    inner: &str,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) {
    let Some(outer) = lease.get_mut(outer).and_then(Value::as_object_mut) else { return };
    let inner = outer.entry(inner).or_insert_with(|| json!({}));
    if !inner.is_object() {
        *inner = json!({});
    }
    if let Some(inner) = inner.as_object_mut() {
        change(inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_only_grow() {
        let now = WallTime(1_500);
        let (first, epoch) = open(None, "n", "r1", 0, now);
        assert_eq!(epoch, 1);
        assert_eq!(first["spec"]["renewTime"], "1970-01-01T00:00:01.500000Z");
        assert_eq!(first["spec"]["holderIdentity"], "n");
        let (second, epoch) = open(Some(first), "n", "r2", 0, now);
        assert_eq!((epoch, holder(&second)), (2, Holder { epoch: 2, replica: "r2".into() }));
        // The Lease was deleted, and the edge remembers.
        assert_eq!(open(None, "n", "r1", 7, now).1, 8);
    }

    #[test]
    fn many_leases_are_renewed_less_often_and_never_too_late() {
        assert_eq!(renew_after(1, false), renew_after(MANY, true));
        assert!(renew_after(MANY + 1, false) > renew_after(MANY, false));
        assert!(renew_after(MANY + 1, true) > renew_after(MANY + 1, false));
        // One renewal may fail, and the next still comes in time.
        let beat = Duration::from_secs(10);
        assert!(renew_after(usize::MAX, true) + beat < Duration::from_secs(DURATION_SECONDS.into()));
        // Who has a head start renews a beat earlier, and not at the first.
        assert_eq!(renew_after(MANY + 1, false).checked_sub(head_start(0.0)), Some(renew_after(1, false)));
        assert_eq!(head_start(0.9), Duration::ZERO);
    }

    #[test]
    fn what_others_wrote_stays() {
        let found = json!({"metadata": {"name": "n", "resourceVersion": "5", "annotations": {"a": "b"}}, "spec": null});
        let (lease, _) = open(Some(found), "n", "r", 0, WallTime(0));
        assert_eq!(lease["metadata"]["annotations"]["a"], "b");
        assert_eq!(lease["metadata"]["resourceVersion"], "5");
        let lease = owned_by(lease, "n", "u");
        assert_eq!(lease["metadata"]["ownerReferences"][0]["uid"], "u");
    }
}
