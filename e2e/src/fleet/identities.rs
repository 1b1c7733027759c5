//! Keys and certificates of a fleet: made once, and kept in the lab's directory for the next run.
//!
//! The cluster's admin may read the CA's Secret and so may the lab, which signs for its simulated nodes itself, as a
//! `cloudcore token create` and an `edgecore join` for each would: ten thousand of those take half an hour of rate
//! limits, which are there for good reason and are measured elsewhere (`join_to_ready`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kit::WallTime;
use pki::{Authority, NodeIdentity, NodeKey};
use serde::{Deserialize, Serialize};

use crate::state;

/// Threads that make keys.
const THREADS: usize = 2;

/// The name of the node with this number, from 0.
pub(super) fn name(number: usize) -> String {
    format!("sim-{:05}", number + 1)
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The CA's certificate.
    ca: String,
    /// Key and chain of each node, by its number.
    identities: Vec<String>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("fleet.json")
}

/// The identities of the first `count` nodes; those that are not there yet, or are another CA's, are made.
///
/// # Errors
/// A key cannot be made, or the file cannot be read or written.
pub(super) fn load(
    dir: &Path,
    authority: &Authority,
    count: usize,
    now: WallTime,
) -> Result<Vec<NodeIdentity>> {
    let path = path(dir);
    let kept = state::load::<Kept>(&path)?.filter(|kept| kept.ca == authority.certificate_pem());
    let mut kept =
        kept.unwrap_or_else(|| Kept { ca: authority.certificate_pem().to_owned(), ..Kept::default() });
    let known = kept.identities.len();
    if known < count {
        kept.identities.extend(make(authority, known..count, now)?);
        state::write_atomically(&path, &serde_json::to_vec(&kept)?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    let read = |text: &String| NodeIdentity::from_pem(text).context("a kept identity cannot be read");
    kept.identities.iter().take(count).map(read).collect()
}

fn make(authority: &Authority, numbers: std::ops::Range<usize>, now: WallTime) -> Result<Vec<String>> {
    let numbers: Vec<usize> = numbers.collect();
    let one = |number: &usize| -> Result<String> {
        let (key, name) = (NodeKey::generate()?, name(*number));
        let request = Authority::check_request(&key.request(&name)?)?;
        let certificate = authority.issue_node(&name, &request, now)?;
        Ok(NodeIdentity::new(&key, &certificate)?.to_pem().0)
    };
    std::thread::scope(|scope| {
        let share = numbers.len().div_ceil(THREADS).max(1);
        let parts: Vec<_> =
            numbers.chunks(share).map(|part| scope.spawn(move || part.iter().map(one).collect())).collect();
        let mut all = Vec::new();
        for part in parts {
            let made: Result<Vec<String>> = part.join().map_err(|_| anyhow::anyhow!("making keys failed"))?;
            all.extend(made?);
        }
        Ok(all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit::Clock;

    #[test]
    fn identities_are_kept_and_belong_to_their_nodes() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Clock::system().wall());
        let authority = Authority::create(now).unwrap();
        let keys = |authority: &Authority, count| -> Vec<(String, pki::Spki)> {
            let all = load(dir.path(), authority, count, now).unwrap();
            all.iter().map(|one| (one.identity().node.clone(), one.identity().spki)).collect()
        };
        let three = keys(&authority, 3);
        assert_eq!(
            three.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(),
            ["sim-00001", "sim-00002", "sim-00003"]
        );
        assert_eq!(keys(&authority, 5)[..3], three[..]);
        assert_eq!(keys(&authority, 2), three[..2]);
        // Another CA's are of no use.
        assert_ne!(keys(&Authority::create(now).unwrap(), 3), three);
    }
}
