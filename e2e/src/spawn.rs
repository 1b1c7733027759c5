//! Starting programs that outlive the command: own session, no terminal, output in a file, in the right
//! control group, and nobody's child, so that whoever started them leaves no zombie behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::host;
use crate::proc::Process;

/// Joins every control group named in `$0`, then becomes the command. A process of its own does this, as a
/// control group takes whoever writes to it.
const JOIN: &str = r#"for entrance in $0; do echo 0 >"$entrance" || exit 126; done; exec "$@""#;

/// A command line that first joins the control groups with these entrances and then becomes `argv`.
pub fn joined(entrances: &[PathBuf], argv: &[String]) -> Command {
    let words: Vec<String> = entrances.iter().map(|path| path.display().to_string()).collect();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", JOIN, &words.join(" ")]).args(argv);
    command
}

/// Starts `argv` on the host in the control groups with these entrances, in a session of its own, appending
/// its output to `log`.
///
/// # Errors
/// The log or a group cannot be opened, or the program ended before it could be looked at.
pub fn daemon(argv: &[String], env: &[(&str, &str)], log: &Path, entrances: &[PathBuf]) -> Result<Process> {
    let script = format!(r#"log=$1; shift; ({JOIN}) </dev/null >>"$log" 2>&1 & echo $!"#);
    let words: Vec<String> = entrances.iter().map(|path| path.display().to_string()).collect();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &script, &words.join(" ")])
        .arg(log)
        .arg("setsid")
        .args(argv)
        .envs(env.iter().copied());
    let said = host::finish(&mut command)?;
    let pid: i32 = said.trim().parse().with_context(|| format!("no pid in {said:?}"))?;
    let program = argv.first().map_or("", String::as_str);
    Process::of(pid).with_context(|| format!("{program} ended at once; see {}", log.display()))
}

/// A command line as owned words.
pub fn words<S: AsRef<str>>(argv: &[S]) -> Vec<String> {
    argv.iter().map(|word| word.as_ref().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_nobodys_child_and_writes_to_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let argv = words(&["sh", "-c", "echo $MARK; exec sleep 60"]);
        let process = daemon(&argv, &[("MARK", "here")], &log, &[]).unwrap();
        host::wait("its first line", std::time::Duration::from_secs(5), || {
            Ok(std::fs::read_to_string(&log)? == "here\n")
        })
        .unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(process.alive() && !crate::proc::children(me).contains(&process.pid));
        process.kill().unwrap();
    }
}
