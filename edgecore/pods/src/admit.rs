//! What stands in the way of a pod that was bound to this node: a predecessor, kernel parameters, host ports, too many
//! pods.

use std::collections::BTreeMap;

use crate::desired::Desired;
use crate::history::Verdict;
use crate::spec::sysctls;

/// A pod on the node, as far as others mind it.
#[derive(Debug, Clone, Copy)]
pub struct Neighbour<'a> {
    /// The pod.
    pub desired: &'a Desired,
    /// It was taken on before.
    pub taken: bool,
    /// It is over: it holds nothing any more.
    pub over: bool,
    /// Nothing of it is left in the runtime and on disk.
    pub left_nothing: bool,
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

/// Judges every pod. Pods taken on before are never refused.
pub fn admit<'a>(pods: &[Neighbour<'a>], max_pods: usize) -> BTreeMap<&'a str, Admission> {
    let mut answers = BTreeMap::new();
    let active = |pod: &&Neighbour<'a>| !pod.over && !pod.desired.deleting;
    let mut admitted: Vec<&Neighbour<'a>> = pods.iter().filter(active).filter(|pod| pod.taken).collect();
    for pod in pods {
        let others = || pods.iter().filter(|other| other.desired.uid != pod.desired.uid);
        let predecessor = others().any(|other| {
            let same =
                other.desired.name == pod.desired.name && other.desired.namespace == pod.desired.namespace;
            same && other.desired.deleting && !other.left_nothing
        });
        let answer = if pod.over || pod.desired.deleting {
            Admission::Free
        } else if predecessor || others().any(|o| o.desired.deleting && !o.left_nothing && clash(o, pod)) {
            Admission::Wait
        } else if pod.taken {
            Admission::Free
        } else if let Some(why) = sysctls::forbidden(&pod.desired.pod) {
            refused(sysctls::FORBIDDEN, format!("Pod was rejected: {why}"))
        } else if admitted.iter().any(|other| clash(other, pod)) {
            let why = "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
            refused("NodePorts", why.to_owned())
        } else if admitted.len() >= max_pods {
            let why = format!(
                "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: {}, capacity: {max_pods}",
                admitted.len()
            );
            refused("OutOfpods", why)
        } else {
            admitted.push(pod);
            Admission::Free
        };
        answers.insert(pod.desired.uid.as_str(), answer);
    }
    answers
}

fn refused(reason: &str, message: String) -> Admission {
    Admission::Refused(Verdict { succeeded: false, reason: reason.to_owned(), message })
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
                taken: how.contains('t'),
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

    #[test]
    fn parameters_of_the_kernel_that_touch_others_are_refused_to_new_pods() {
        let mut desired = pod("1", "a", 0, false);
        let spec = json!({"spec": {"containers": [], "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}});
        desired.pod = Arc::new(serde_json::from_value(spec).unwrap());
        let judged = |taken: bool| {
            let pod = Neighbour { desired: &desired, taken, over: false, left_nothing: false };
            admit(&[pod], 3)["1"].clone()
        };
        assert_eq!(judged(true), Admission::Free);
        let why = "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted";
        assert_eq!(judged(false), refused("SysctlForbidden", why.to_owned()));
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
