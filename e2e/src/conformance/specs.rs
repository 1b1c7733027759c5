//! Running specs: ginkgo with several processes of `e2e.test`, its output in a log, and what became of each spec.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use super::report::{self, Run};
use crate::lab::Lab;
use crate::{host, spawn};

/// What the table is about. The four labels that are left out mean: takes minutes, wants the node for itself, breaks it, does not
/// always pass.
const LABELS: &str = "NodeConformance && !Slow && !Serial && !Disruptive && !Flaky";
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_mins(1);
/// A run that takes longer is cut.
const LIMIT: &str = "3h";

/// Which specs to run, and how.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// Regular expressions; a spec whose name matches one is run, and every one where there is none.
    pub(super) focus: Vec<String>,
    /// How many at once.
    pub(super) procs: u32,
}

/// The command line of ginkgo.
fn argv(choice: &Choice, programs: &Path, kubeconfig: &Path, kubectl: &Path, report: &Path) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let mut words = vec![
        path(&programs.join("ginkgo")),
        format!("--procs={}", choice.procs),
        "--no-color".to_owned(),
        format!("--timeout={LIMIT}"),
        format!("--label-filter={LABELS}"),
        format!("--output-dir={}", report.parent().map(path).unwrap_or_default()),
        format!("--json-report={}", report.file_name().unwrap_or_default().to_string_lossy()),
    ];
    words.extend(choice.focus.iter().map(|focus| format!("--focus={focus}")));
    words.extend([
        path(&programs.join("e2e.test")),
        "--".to_owned(),
        format!("--kubeconfig={}", path(kubeconfig)),
        format!("--kubectl-path={}", path(kubectl)),
        "--provider=skeleton".to_owned(),
        "--disable-log-dump".to_owned(),
    ]);
    words
}

/// Runs the specs against whatever node the lab has, and returns what became of each.
///
/// # Errors
/// ginkgo does not run, or leaves no report; the message names the log.
pub(super) fn run(lab: &Lab, programs: &Path, choice: &Choice, name: &str) -> Result<Run> {
    let logs = lab.dir().join("logs");
    let (log, report) = (logs.join(format!("specs-{name}.log")), report_path(lab, name));
    let kubectl = lab.dir().join("cluster/bin/kubectl");
    let words = argv(choice, programs, &lab.kubeconfig(), &kubectl, &report);
    host::progress(&format!("{name}: running the specs, {} at once ({})", choice.procs, log.display()));
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = spawn::joined(&lab.host_group()?.entrances(None), &words);
    command.current_dir(&logs).env_remove("KUBECONFIG");
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let started = host::now();
    let mut child = command.spawn().context("cannot start ginkgo")?;
    let mut told = started;
    // Its status says no more than the report: specs failed, or the run was cut.
    while child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(500));
        if told.elapsed() >= PROGRESS {
            told = host::now();
            let done = std::fs::read_to_string(&log).unwrap_or_default().matches('•').count();
            host::progress(&format!("{name}: {done} specs done after {} s", started.elapsed().as_secs()));
        }
    }
    host::progress(&format!("{name}: the specs took {} s", started.elapsed().as_secs()));
    outcome(&report).with_context(|| format!("{name}: see {}", log.display()))
}

/// Where ginkgo's report on a node lies, also when the lab is down.
pub(super) fn report_path(lab: &Lab, name: &str) -> PathBuf {
    lab.dir().join("logs").join(format!("specs-{name}.json"))
}

/// What became of the specs by a report.
///
/// # Errors
/// It is not there, or none.
pub(super) fn outcome(report: &Path) -> Result<Run> {
    let text = std::fs::read_to_string(report).with_context(|| format!("no report {}", report.display()))?;
    report::read(&text)
}

/// A regular expression that matches a spec's name and nothing longer.
pub(super) fn exactly(spec: &str) -> String {
    let mut text = String::new();
    for character in spec.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            text.push('\\');
        }
        text.push(character);
    }
    format!("{text}$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_as_it_stands() {
        assert_eq!(exactly("[sig-node] Pods (a|b) costs 1.5$"), r"\[sig-node\] Pods \(a\|b\) costs 1\.5\$$");
    }

    #[test]
    fn what_follows_the_two_dashes_is_the_suites() {
        let choice = Choice { focus: vec!["a".into(), "b".into()], procs: 3 };
        let words =
            argv(&choice, Path::new("/p"), Path::new("/k"), Path::new("/kubectl"), Path::new("/logs/r.json"));
        let at = words.iter().position(|word| word == "--").unwrap();
        assert_eq!(words[at - 1], "/p/e2e.test");
        assert!(
            words[..at].contains(&"--focus=b".to_owned()) && words[..at].contains(&"--procs=3".to_owned())
        );
        assert!(words[..at].contains(&"--output-dir=/logs".to_owned()));
        assert!(words[at..].contains(&"--kubeconfig=/k".to_owned()));
    }
}
