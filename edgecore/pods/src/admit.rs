//! What stands in the way of a pod that was bound to this node: a predecessor, another operating system, kernel
//! parameters, host ports, too many pods.

use std::collections::BTreeMap;

use crate::desired::Desired;
use crate::history::Verdict;
use crate::spec::sysctls;

/// What the message of a pod that is never taken on begins with, in upstream's words; its event does without.
pub const REJECTED: &str = "Pod was rejected: ";
/// The operating system of this node, as Go names it.
const OS: &str = "linux";
/// The label that asks for one.
const OS_LABEL: &str = "kubernetes.io/os";

/// A pod on the node, as far as others mind it.
#[derive(Debug, Clone, Copy)]
pub struct Neighbour<'a> {
    /// The pod.
    pub desired: &'a Desired,
    /// How far it has come.
    pub stage: Stage,
    /// It is over: it holds nothing any more.
    pub over: bool,
    /// Nothing of it is left in the runtime and on disk.
    pub left_nothing: bool,
}

/// How far a pod has come on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is looked at for the first time.
    New,
    /// It was taken on, and had no sandbox yet.
    Taken,
    /// It had a sandbox, or has one.
    Ran,
}

/// Whether a pod may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Free,
    /// Something of a pod that is going away is still there.
    Wait,
    /// It never will, in upstream's words.
    Refused(Verdict),
}

/// Judges every pod. Pods taken on before are never refused for want of room; what does not fit this node at all is refused
/// until it has run, however long it waited.
pub fn admit<'a>(pods: &[Neighbour<'a>], max_pods: usize) -> BTreeMap<&'a str, Admission> {
    let mut answers = BTreeMap::new();
    let active = |pod: &&Neighbour<'a>| !pod.over && !pod.desired.deleting;
    let mut admitted: Vec<&Neighbour<'a>> =
        pods.iter().filter(active).filter(|pod| pod.stage != Stage::New).collect();
    for pod in pods {
        let others = || pods.iter().filter(|other| other.desired.uid != pod.desired.uid);
        let predecessor = others().any(|other| {
            let same =
                other.desired.name == pod.desired.name && other.desired.namespace == pod.desired.namespace;
            same && other.desired.deleting && !other.left_nothing
        });
        let answer = if pod.over || pod.desired.deleting {
            Admission::Free
        } else if let Some((reason, why)) = misfit(pod.desired).filter(|_| pod.stage != Stage::Ran) {
            refused(reason, &why)
        } else if predecessor || others().any(|o| o.desired.deleting && !o.left_nothing && clash(o, pod)) {
            Admission::Wait
        } else if pod.stage != Stage::New {
            Admission::Free
        } else if admitted.iter().any(|other| clash(other, pod)) {
            let why =
                "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
            refused("NodePorts", why)
        } else if admitted.len() >= max_pods {
            let why = format!(
                "Node didn't have enough resource: pods, requested: 1, used: {}, capacity: {max_pods}",
                admitted.len()
            );
            refused("OutOfpods", &why)
        } else {
            admitted.push(pod);
            Admission::Free
        };
        answers.insert(pod.desired.uid.as_str(), answer);
    }
    answers
}

fn refused(reason: &str, why: &str) -> Admission {
    let message = format!("{REJECTED}{why}");
    Admission::Refused(Verdict { succeeded: false, reason: reason.to_owned(), message })
}

/// Reason and message where the pod can run on no node like this one.
fn misfit(desired: &Desired) -> Option<(&'static str, String)> {
    let foreign = foreign(desired).map(|(reason, why)| (reason, why.to_owned()));
    foreign.or_else(|| Some((sysctls::FORBIDDEN, sysctls::forbidden(&desired.pod)?)))
}

/// Reason and message, in upstream's words, where the pod is for another operating system. Upstream, too, looks at the
/// pod's own label, not at its selector.
fn foreign(desired: &Desired) -> Option<(&'static str, &'static str)> {
    let labels = desired.pod.metadata.labels.as_ref();
    if labels.and_then(|labels| labels.get(OS_LABEL)).is_some_and(|os| os != OS) {
        let why = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return Some(("PodOSSelectorNodeLabelDoesNotMatch", why));
    }
    let os = desired.spec().and_then(|spec| spec.os.as_ref());
    let why = "Failed to admit pod as the OS field doesn't match node OS";
    os.is_some_and(|os| os.name != OS).then_some(("PodOSNotSupported", why))
}

/// Both want the same port of the host.
fn clash(one: &Neighbour<'_>, other: &Neighbour<'_>) -> bool {
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    let others = other.desired.host_ports();
    one.desired.host_ports().iter().any(|(protocol, ip, port)| {
        others.iter().any(|(p, i, n)| p == protocol && n == port && (any(ip) || any(i) || i == ip))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn pod(uid: &str, name: &str, port: u16, deleting: bool) -> Desired {
        let spec = json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": port}]}]}});
        Desired {
            uid: uid.into(),
            namespace: "n".into(),
            name: name.into(),
            pod: Arc::new(serde_json::from_value(spec).unwrap()),
            ephemeral: Arc::default(),
            refused: Arc::default(),
            deleting,
            gone: deleting,
        }
    }

    /// Pods as (uid, name, host port or 0), with `d` for deleting, `t` for taken on before, `o` for over.
    fn check(pods: &[(&str, &str, u16, &str)], want: &[&str]) {
        let desired: Vec<_> =
            pods.iter().map(|(uid, name, port, how)| pod(uid, name, *port, how.contains('d'))).collect();
        let neighbours: Vec<_> = desired
            .iter()
            .zip(pods)
            .map(|(desired, (.., how))| Neighbour {
                desired,
                stage: if how.contains('t') { Stage::Ran } else { Stage::New },
                over: how.contains('o'),
                left_nothing: false,
            })
            .collect();
        let answers = admit(&neighbours, 3);
        let got: Vec<String> = desired
            .iter()
            .map(|desired| match &answers[desired.uid.as_str()] {
                Admission::Free => "free".to_owned(),
                Admission::Wait => "wait".to_owned(),
                Admission::Refused(verdict) => verdict.reason.clone(),
            })
            .collect();
        assert_eq!(got, want);
    }

    /// Why a pod with this body is refused, and its message.
    fn why(body: &serde_json::Value, stage: Stage) -> Option<(String, String)> {
        let mut desired = pod("1", "a", 0, false);
        desired.pod = Arc::new(serde_json::from_value(body.clone()).unwrap());
        let neighbour = Neighbour { desired: &desired, stage, over: false, left_nothing: false };
        match admit(&[neighbour], 3).remove("1") {
            Some(Admission::Refused(verdict)) => Some((verdict.reason, verdict.message)),
            _ => None,
        }
    }

    #[test]
    fn a_pod_for_another_system_is_refused_in_upstreams_words() {
        let os = |name: &str| json!({"spec": {"containers": [{"name": "c"}], "os": {"name": name}}});
        let refused = |reason: &str, message: &str| Some((reason.to_owned(), message.to_owned()));
        let by_field = refused(
            "PodOSNotSupported",
            "Pod was rejected: Failed to admit pod as the OS field doesn't match node OS",
        );
        assert_eq!(why(&os("windows"), Stage::New), by_field);
        // It had to wait, or an agent that knew less held it back.
        assert_eq!(why(&os("windows"), Stage::Taken), by_field);
        assert_eq!(why(&os("windows"), Stage::Ran), None);
        assert_eq!(why(&os("linux"), Stage::New), None);
        let label = |name: &str| {
            let mut body = os("windows");
            body["metadata"] = json!({"labels": {"kubernetes.io/os": name}});
            body
        };
        let by_label = refused(
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Pod was rejected: Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        );
        assert_eq!(why(&label("windows"), Stage::New), by_label);
        assert_eq!(why(&label("linux"), Stage::New), by_field);
        // The selector is the scheduler's business.
        let selector = json!({"spec": {"containers": [], "nodeSelector": {"kubernetes.io/os": "windows"}}});
        assert_eq!(why(&selector, Stage::New), None);
    }

    #[test]
    fn a_pod_that_is_refused_takes_nobodys_place() {
        let mut windows = pod("1", "a", 80, false);
        let os = json!({"name": "windows"});
        let mut body = (*windows.pod).clone();
        body.spec.as_mut().unwrap().os = serde_json::from_value(os).unwrap();
        windows.pod = Arc::new(body);
        let linux = pod("2", "b", 80, false);
        let pods = [&windows, &linux].map(|desired| Neighbour {
            desired,
            stage: Stage::New,
            over: false,
            left_nothing: false,
        });
        let answers = admit(&pods, 1);
        assert!(matches!(answers["1"], Admission::Refused(_)));
        assert_eq!(answers["2"], Admission::Free);
    }

    #[test]
    fn parameters_of_the_kernel_that_touch_others_are_refused_to_new_pods() {
        let sysctls = json!([{"name": "kernel.msgmax", "value": "1"}]);
        let body = json!({"spec": {"containers": [], "securityContext": {"sysctls": sysctls}}});
        assert_eq!(why(&body, Stage::Ran), None);
        let message = "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted";
        for stage in [Stage::New, Stage::Taken] {
            assert_eq!(why(&body, stage), Some(("SysctlForbidden".to_owned(), message.to_owned())));
        }
    }

    #[test]
    fn predecessors_ports_and_numbers() {
        check(&[("1", "a", 0, "td"), ("2", "a", 0, "")], &["free", "wait"]);
        check(&[("1", "a", 80, "td"), ("2", "b", 80, "")], &["free", "wait"]);
        check(&[("1", "a", 80, "t"), ("2", "b", 80, "")], &["free", "NodePorts"]);
        check(&[("1", "a", 80, ""), ("2", "b", 80, "")], &["free", "NodePorts"]);
        check(&[("1", "a", 80, "to"), ("2", "b", 80, "")], &["free", "free"]);
        // What was taken on stays, in whatever order it is met again.
        check(&[("1", "a", 80, ""), ("2", "b", 80, "t")], &["NodePorts", "free"]);
        check(
            &[("1", "a", 0, ""), ("2", "b", 0, "t"), ("3", "c", 0, "t"), ("4", "d", 0, "t")],
            &["OutOfpods", "free", "free", "free"],
        );
    }
}
