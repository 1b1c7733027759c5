//! How many nodes the descriptors of this process are enough for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are neither a session's nor an endpoint's: watches, writes, calls under way.
const OTHERS: u64 = 1_000;
/// Most nodes, however many descriptors there are: each endpoint has a port.
const MOST: usize = 20_000;

/// Takes as many descriptors as the system allows: what a process is given at first (1,024 as a rule) is meant for those
/// that use `select`.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, ?current, "the number of descriptors stays as it is");
    }
}

/// How many nodes there is room for: each takes a descriptor for its session, and one for its endpoint.
pub(crate) fn nodes() -> usize {
    room(getrlimit(Resource::Nofile).current)
}

fn room(limit: Option<u64>) -> usize {
    let nodes = limit.map_or(MOST, |limit| usize::try_from(limit.saturating_sub(OTHERS) / 2).unwrap_or(MOST));
    nodes.clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_takes_two() {
        assert_eq!([Some(21_000), Some(1_024), Some(10), None].map(room), [10_000, 12, 1, MOST]);
        assert_eq!(room(Some(u64::MAX)), MOST);
    }
}
