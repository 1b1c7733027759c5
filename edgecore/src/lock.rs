//! One agent per state directory.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

/// Held for as long as the agent runs; the kernel lets go when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Makes the state directory and locks it.
pub(crate) fn take(state_dir: &Path) -> anyhow::Result<Lock> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(state_dir)
        .with_context(|| format!("cannot make state directory {}", state_dir.display()))?;
    let path = state_dir.join("lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            bail!("another edgecore runs on state directory {}", state_dir.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let first = super::take(&state).unwrap();
        let error = super::take(&state).unwrap_err().to_string();
        assert!(error.contains("another edgecore"), "{error}");
        drop(first);
        super::take(&state).unwrap();
    }
}
