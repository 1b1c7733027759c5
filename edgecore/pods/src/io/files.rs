//! Files that a pod's containers see, and their end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edgecore_volumes::{Plan, Published, Trouble, VolumeDirs, VolumeError, plan};

use crate::desired::Desired;
use crate::event::Event;
use crate::io::cgroups;
use crate::io::log_links::unlink;
use crate::io::shared::Shared;
use crate::io::sources::{SourceError, sources, tell_expired};
use crate::runtime::Runtime;
use crate::spec::Values;
use crate::spec::sandbox::cgroup;

/// The pod's volumes as they must be now.
pub(super) fn planned<R: Runtime>(
    shared: &Shared<R>,
    desired: &Desired,
    pod_ips: &[String],
) -> Result<Plan, SourceError> {
    let sources = sources(shared, desired)?;
    let node = shared.facts();
    Ok(plan(&desired.pod, &sources, &Values { pod: &desired.pod, node: &node, pod_ips }))
}

/// Tries after which a problem with files is told: before that it may be that they are still under way.
const TELL_AFTER: u32 = 3;
/// A token that was asked for may take so long before anybody hears of it.
const TOKEN_LATE: Duration = Duration::from_secs(5);

/// How long a pod has waited for its files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waited {
    /// These very steps were tried so often before.
    pub(super) tries: u32,
    /// Time since files were first missing.
    pub(super) time: Duration,
}

impl Waited {
    /// Its files were there: whatever is wrong with them now is told.
    pub(super) const ENOUGH: Self = Self { tries: u32::MAX, time: Duration::MAX };

    /// A problem of this kind is told by an event.
    const fn tells(self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::Awaited => self.time.as_secs() >= TOKEN_LATE.as_secs(),
            Trouble::Missing | Trouble::Refused | Trouble::Failed => self.tries >= TELL_AFTER,
        }
    }
}

/// Why a step was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// For people.
    pub(super) message: String,
    /// It only waits for what was asked for moments ago.
    pub(super) expected: bool,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, expected: false }
    }
}

/// Makes the pod's files be as they must. What is wrong is told by an event where the pod has waited long enough; the
/// first problem comes back.
pub(super) async fn publish<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    pod_ips: &[String],
    waited: Waited,
) -> Result<(), Failure> {
    let plan = planned(shared, desired, pod_ips).map_err(|error| kit::errors::chain(&error))?;
    tell_expired(shared, desired).map_err(|error| kit::errors::chain(&error))?;
    let (dirs, uid, wall) = (shared.dirs.clone(), desired.uid.clone(), shared.clock.wall());
    let published = blocking(move || Ok(dirs.publish(&uid, &plan, wall))).await;
    let Published { changed, problems } = published.map_err(|error| error.to_string())?;
    if !changed.is_empty() {
        tracing::debug!(pod = desired.label(), volumes = ?changed, "files written");
    }
    for problem in &problems {
        tracing::debug!(pod = desired.label(), %problem, "volume is not there");
        if waited.tells(problem.trouble) {
            shared.events.tell(Event::pod(desired, true, reason(problem), problem.to_string()));
        }
    }
    let expected =
        |problem: &VolumeError| problem.trouble == Trouble::Awaited && !waited.tells(problem.trouble);
    match problems.first() {
        Some(first) => Err(Failure { message: first.to_string(), expected: problems.iter().all(expected) }),
        None => Ok(()),
    }
}

/// Reason of the event; upstream knows but one.
const fn reason(problem: &VolumeError) -> &'static str {
    match problem.trouble {
        Trouble::Missing | Trouble::Awaited | Trouble::Refused | Trouble::Failed => "FailedMount",
    }
}

/// Makes the directory of the pod's logs, or of those of one of its containers.
pub(super) async fn make_log_dir<R: Runtime>(
    shared: &Shared<R>,
    desired: &Desired,
    container: Option<&str>,
) -> std::io::Result<()> {
    let mut dir = shared.log_dir(desired);
    if let Some(name) = container {
        dir.push(plain(name)?);
    }
    blocking(move || std::fs::create_dir_all(dir)).await
}

/// Removes files and logs of a pod of which nothing is left in the runtime.
pub(super) async fn clear(
    dirs: &VolumeDirs,
    uid: &str,
    logs: PathBuf,
    links: PathBuf,
) -> std::io::Result<()> {
    let (dirs, uid) = (dirs.clone(), uid.to_owned());
    blocking(move || {
        dirs.unpublish(&uid)?;
        // An empty cgroup that cannot be removed costs little; a pod that never ends would cost more.
        if let Err(error) = cgroups::remove(Path::new(cgroups::ROOT), &cgroup(&uid)) {
            tracing::warn!(uid, %error, "the pod's cgroup cannot be removed");
        }
        unlink(&links, &logs)?;
        fine_if_gone(std::fs::remove_dir_all(logs))
    })
    .await
}

/// Removes the log of one run of a container, rotated parts and the link to it included.
pub(super) async fn remove_log(dir: PathBuf, attempt: u32, links: PathBuf) -> std::io::Result<()> {
    blocking(move || {
        let stem = format!("{attempt}.log");
        unlink(&links, &dir.join(&stem))?;
        for name in names_in(&dir)? {
            if name == stem || name.starts_with(&format!("{stem}.")) {
                fine_if_gone(std::fs::remove_file(dir.join(name)))?;
            }
        }
        Ok(())
    })
    .await
}

/// Names in a directory that is there, or not.
pub(super) fn names_in(dir: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Work on the file system, off the threads that others wait for.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error)),
    }
}

pub(super) fn fine_if_gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The name, if it is one plain file name; the API server sees to it, this is the second lock.
fn plain(name: &str) -> std::io::Result<&str> {
    let good = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    good.then_some(name).ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("{name:?} is no file name"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_on_its_way_is_told_of_when_it_is_late() {
        let waited = |tries, ms| Waited { tries, time: Duration::from_millis(ms) };
        assert!(!waited(6, 4_999).tells(Trouble::Awaited));
        assert!(waited(0, 5_000).tells(Trouble::Awaited));
        assert!(!waited(2, 60_000).tells(Trouble::Missing));
        assert!(waited(3, 700).tells(Trouble::Missing));
        assert!(Waited::ENOUGH.tells(Trouble::Awaited) && Waited::ENOUGH.tells(Trouble::Failed));
    }
}
