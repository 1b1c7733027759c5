//! What a simulated edge reports. Pure. It runs nothing and says so: its Node is Ready, its pods stay Pending, which is
//! what the cluster shows of them anyway, so that nobody has to write anything.

use serde_json::{Value, json};
use wire::owned::report_hash;
use wire::{Body, BodyError, Digest, Kind, Report, ReportInventory, ReportItem, Version};

use super::held::{Held, Object};

/// Label of every simulated Node, besides those of an edge.
pub(crate) const LABEL: &str = "skerry.io/simulated";

/// Whose reports they are.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    pub(super) node: String,
    pub(super) node_uid: String,
}

/// The status of a simulated Node: what tells it from the others is its name alone.
pub(super) fn node_status(node: &str) -> Value {
    let resources = json!({"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi", "pods": "500"});
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "simulated"});
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [{"type": "Hostname", "address": node}],
        "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "simulated", "kernelVersion": "simulated",
            "osImage": "simulated", "containerRuntimeVersion": "simulated://0", "kubeletVersion": "v0.0.0-simulated",
            "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64",
        },
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ],
    })
}

/// Labels of a simulated Node.
pub(super) fn node_labels(node: &str) -> Value {
    json!({
        "kubernetes.io/hostname": node,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node-role.kubernetes.io/edge": "",
        (LABEL): "true",
    })
}

fn node_body(node: &str) -> Value {
    json!({"labels": {"kubernetes.io/hostname": node}, "status": node_status(node)})
}

fn pod_body(deleting: bool) -> Value {
    let status = json!({"phase": "Pending"});
    if deleting { json!({"deleted": true, "status": status}) } else { json!({"status": status}) }
}

impl Reporter {
    /// Key and hash of every report, as a real edge's outbox keeps them.
    fn hashes(&self, held: &Held) -> Vec<(Kind, String, Version)> {
        let pods = held.objects().iter().filter(|((kind, _), _)| kind == Kind::Pod.name());
        let hash = |object: &Object| report_hash(Kind::Pod, &pod_body(object.deleting));
        let mut all: Vec<_> = pods.map(|((_, uid), object)| (Kind::Pod, uid.clone(), hash(object))).collect();
        all.push((Kind::Node, self.node_uid.clone(), report_hash(Kind::Node, &node_body(&self.node))));
        all
    }

    /// Digest and number of the reports, for `Hello`.
    pub(super) fn digest(&self, held: &Held) -> (Digest, u32) {
        let all = self.hashes(held);
        let digest =
            all.iter().fold(Digest::EMPTY, |sum, (kind, uid, hash)| sum.with(kind.name(), uid, *hash));
        (digest, u32::try_from(all.len()).unwrap_or(u32::MAX))
    }

    /// The inventory of the reports.
    pub(super) fn inventory(&self, held: &Held) -> ReportInventory {
        let item = |(kind, uid, hash): (Kind, String, Version)| ReportItem {
            kind: kind.name().to_owned(),
            uid,
            hash: hash.to_vec(),
        };
        ReportInventory { items: self.hashes(held).into_iter().map(item).collect(), last: true }
    }

    /// The report on the object with this UID; `None` where there is none.
    pub(super) fn report(&self, held: &Held, uid: &str, id: u64) -> Result<Option<Report>, BodyError> {
        if uid == self.node_uid {
            return pack(id, Kind::Node, "", &self.node, uid, &node_body(&self.node)).map(Some);
        }
        let Some(pod) = held.objects().get(&(Kind::Pod.name().to_owned(), uid.to_owned())) else {
            return Ok(None);
        };
        pack(id, Kind::Pod, &pod.namespace, &pod.name, uid, &pod_body(pod.deleting)).map(Some)
    }
}

fn pack(
    id: u64,
    kind: Kind,
    namespace: &str,
    name: &str,
    uid: &str,
    body: &Value,
) -> Result<Report, BodyError> {
    Ok(Report {
        id,
        kind: kind.name().to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        body: Some(Body::pack(body.to_string().as_bytes())?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::held::Effects;
    use wire::Upsert;

    fn reporter() -> Reporter {
        Reporter { node: "sim-1".to_owned(), node_uid: "n".to_owned() }
    }

    fn held_with_pod(body: &str) -> Held {
        let mut held = Held::default();
        let upsert = Upsert {
            frame: 1,
            kind: "Pod".to_owned(),
            namespace: "default".to_owned(),
            name: "p".to_owned(),
            uid: "u".to_owned(),
            version: Version::of(body.as_bytes()).to_vec(),
            body: Some(Body::pack(body.as_bytes()).unwrap()),
            seen: String::new(),
        };
        held.take(upsert.into(), &mut Effects::default()).unwrap();
        held
    }

    #[test]
    fn what_the_cluster_shows_at_first_equals_the_reports() {
        let cluster = [
            (Kind::Node, "n", node_status("sim-1")),
            (Kind::Pod, "u", json!({"phase": "Pending", "qosClass": "BestEffort"})),
        ];
        let shown = cluster.iter().fold(Digest::EMPTY, |sum, (kind, uid, status)| {
            sum.with(kind.name(), uid, wire::owned::status_hash(*kind, status))
        });
        assert_eq!(reporter().digest(&held_with_pod("{}")), (shown, 2));
    }

    #[test]
    fn a_deleted_pod_is_reported_as_gone_and_a_foreign_one_not_at_all() {
        let held = held_with_pod("{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}");
        let report = reporter().report(&held, "u", 3).unwrap().unwrap();
        assert_eq!((report.id, report.namespace.as_str(), report.name.as_str()), (3, "default", "p"));
        let body: Value = serde_json::from_slice(&report.body.unwrap().unpack().unwrap()).unwrap();
        assert_eq!(body["deleted"], true);
        assert_eq!(reporter().report(&held, "other", 4).unwrap(), None);
        assert_eq!(reporter().inventory(&held).items.len(), 2);
    }
}
