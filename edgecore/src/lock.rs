//! One agent per state directory.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use kit::Clock;
use rustix::fs::{FlockOperation, flock};

/// How long an agent that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(10);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(20);

/// Somebody else holds the lock.
#[derive(Debug, thiserror::Error)]
#[error("another edgecore runs on state directory {}", .0.display())]
struct Busy(PathBuf);

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
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Busy(state_dir.to_owned()).into()),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Whether an agent holds the lock. Nothing is made.
pub(crate) fn is_held(state_dir: &Path) -> bool {
    let file = File::open(state_dir.join("lock"));
    file.is_ok_and(|file| {
        flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    })
}

/// Takes the lock as [`take`] does, but waits a while for an agent that is being killed: until its last thread is out of
/// the kernel, which a slow disk may hold up, the lock is still its own.
pub(crate) async fn take_over(state_dir: &Path, clock: &Clock) -> anyhow::Result<Lock> {
    let deadline = clock.elapsed().plus(DYING);
    loop {
        match take(state_dir) {
            Err(error) if error.is::<Busy>() && clock.elapsed() < deadline => clock.sleep(LOOK).await,
            taken => return taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_takes_over_waits_for_the_one_that_is_dying() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path()).unwrap();
        let clock = Clock::system();
        let second = take_over(dir.path(), &clock);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        second.await.unwrap();
    }

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        assert!(!is_held(&state), "nobody was here");
        let first = take(&state).unwrap();
        assert!(is_held(&state));
        let error = take(&state).unwrap_err().to_string();
        assert!(error.contains("another edgecore"), "{error}");
        drop(first);
        assert!(!is_held(&state));
        take(&state).unwrap();
    }
}
