//! How often probes were tried, and with which result: what `/metrics/probes` shows. Only the prober counts; whoever
//! likes reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::probe::Kind;

/// A probe of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tried {
    /// UID of the pod.
    pub uid: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// Which of its probes.
    pub kind: Kind,
}

/// Tries of one probe by result, since this process began or the pod came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// The probe succeeded.
    pub successful: u64,
    /// The probe failed.
    pub failed: u64,
    /// It could not be carried out.
    pub unknown: u64,
}

/// The counts. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct ProbeCounts(Arc<Mutex<BTreeMap<Tried, Tally>>>);

impl ProbeCounts {
    /// All of them.
    pub fn all(&self) -> Vec<(Tried, Tally)> {
        self.lock().iter().map(|(tried, tally)| (tried.clone(), *tally)).collect()
    }

    /// One try more, which succeeded, failed, or (`None`) was none.
    pub(crate) fn count(&self, tried: Tried, success: Option<bool>) {
        let mut counts = self.lock();
        let tally = counts.entry(tried).or_default();
        let result = match success {
            Some(true) => &mut tally.successful,
            Some(false) => &mut tally.failed,
            None => &mut tally.unknown,
        };
        *result += 1;
    }

    /// Forgets the pods that are not `here`, by UID, and namespace and name.
    pub(crate) fn keep(&self, here: impl Fn(&str, (&str, &str)) -> bool) {
        // Whoever reads does not wait until that is known.
        let mut known = self.all();
        known.retain(|(tried, _)| !here(&tried.uid, (&tried.namespace, &tried.pod)));
        let mut counts = self.lock();
        for (gone, _) in known {
            counts.remove(&gone);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Tried, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_by_result_until_their_pod_goes() {
        let counts = ProbeCounts::default();
        let tried = |uid: &str| Tried {
            uid: uid.to_owned(),
            namespace: "ns".to_owned(),
            pod: format!("pod-{uid}"),
            container: "c".to_owned(),
            kind: Kind::Liveness,
        };
        for success in [Some(true), Some(true), Some(false), None] {
            counts.count(tried("a"), success);
        }
        counts.count(tried("b"), Some(true));
        let tally = Tally { successful: 2, failed: 1, unknown: 1 };
        assert_eq!(counts.all()[0], (tried("a"), tally));
        counts.keep(|uid, (namespace, name)| uid == "a" && namespace == "ns" && name == "pod-a");
        assert_eq!(counts.all(), [(tried("a"), tally)]);
    }
}
