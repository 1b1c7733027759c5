//! What stands in the way of a pod that was bound to this node: a predecessor, host ports, too many pods.

use std::collections::BTreeMap;

use crate::desired::Desired;
use crate::history::Verdict;

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
    let mut count = pods.iter().filter(active).filter(|pod| pod.taken).count();
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
        } else if others().filter(active).any(|other| other.taken && clash(other, pod)) {
            let why = "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
            refused("NodePorts", why.to_owned())
        } else if count >= max_pods {
            let why = format!(
                "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: {count}, capacity: {max_pods}"
            );
            refused("OutOfpods", why)
        } else {
            count += 1;
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
