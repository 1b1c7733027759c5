//! Whether a pod is over: it ended by itself, or its time is up. What is judged once is never judged again.

use std::time::Duration;

use crate::desired::{Desired, Role};
use crate::history::{History, Verdict};
use crate::observed::PodView;
use crate::restart::Now;

/// Why the pod never runs again, if so.
pub fn judge(desired: &Desired, view: &PodView, history: &History, now: &Now) -> Option<Verdict> {
    if history.verdict.is_some() || desired.deleting {
        return None;
    }
    if let Some(phase) = desired.recorded_phase() {
        return Some(plain(phase == "Succeeded"));
    }
    if deadline(desired).is_some_and(|limit| history.taken.as_ref().is_some_and(|t| t.age(now) >= limit)) {
        return Some(Verdict {
            succeeded: false,
            reason: "DeadlineExceeded".to_owned(),
            message: "Pod was active on the node longer than the specified deadline".to_owned(),
        });
    }
    if init_failed(desired, history) {
        return Some(plain(false));
    }
    apps_over(desired, view, history).map(plain)
}

/// How long the pod may be active.
pub fn deadline(desired: &Desired) -> Option<Duration> {
    let seconds = desired.spec()?.active_deadline_seconds?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn plain(succeeded: bool) -> Verdict {
    Verdict { succeeded, reason: String::new(), message: String::new() }
}

/// An init container failed and may not run again.
fn init_failed(desired: &Desired, history: &History) -> bool {
    desired.inits().filter(|(role, _)| *role == Role::Init).any(|(role, container)| {
        let ended = history.ran(&container.name).and_then(crate::history::Ran::ended);
        ended.is_some_and(|ended| ended.exit_code != 0 && !desired.restarts(role, container, ended.exit_code))
    })
}

/// All containers the pod is for have ended for good: whether with success.
fn apps_over(desired: &Desired, view: &PodView, history: &History) -> Option<bool> {
    let (mut ran, mut all_ran, mut succeeded) = (false, true, true);
    for container in desired.apps() {
        let Some(known) = history.ran(&container.name).filter(|known| known.current.is_some()) else {
            all_ran = false;
            continue;
        };
        let ended = known.ended()?;
        if desired.restarts(Role::App, container, ended.exit_code) {
            return None;
        }
        ran = true;
        succeeded &= ended.exit_code == 0;
    }
    if all_ran {
        return Some(succeeded);
    }
    // Some never ran. Without its sandbox a pod that never restarts gets no second one, once any of it ran.
    (ran && desired.runs_once() && view.sandbox().is_none()).then_some(false)
}
