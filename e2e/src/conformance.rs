//! Upstream's own specs against an edge of a lab, and against an ordinary node in its place, so that what this machine
//! cannot do is told from what an edge cannot do.
//!
//! In: which specs. Out: a line for each that did not pass, `N of M passed, baseline B`, and with `--write` the committed
//! table. A run fails where a spec fails that the table says passed once, and where it was cut.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use crate::lab::{Lab, UpOptions};
use crate::programs::Programs;
use crate::{Runtime, host};

mod ordinary;
mod relay;
mod report;
mod specs;
mod table;
mod why;

use report::{Run, Verdict};
use specs::Choice;
use table::Table;

/// The committed table, below the repository.
const TABLE: &str = "docs/conformance.md";
/// Specs that passed quickly, one a line, below the repository; it only grows.
const QUICK: &str = "hack/upstream/quick.txt";
/// What quickly is, in seconds, beside others that run at the same time.
const QUICKLY: f64 = 12.0;
/// The nodes' names.
const EDGE: &str = "edge-1";
const ORDINARY: &str = "ordinary";
const USAGE: &str = "usage: hack/conformance [FOCUS] [--baseline] [--quick] [--write] [--procs N] [--keep] [--dir DIR]";

/// What was asked.
#[derive(Debug, PartialEq)]
struct Options {
    focus: Option<String>,
    baseline: bool,
    quick: bool,
    write: bool,
    keep: bool,
    procs: u32,
    dir: PathBuf,
}

/// Runs the specs with what follows the program's name: 0 done, 1 failed, 2 not understood.
pub fn main(arguments: &[String]) -> ExitCode {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            host::progress(&format!("error: {error:#}"));
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reason = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            host::progress(&format!("error: {reason}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        focus: None,
        baseline: false,
        quick: false,
        write: false,
        keep: false,
        procs: 16,
        dir: Path::new("target/conformance").to_owned(),
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--baseline" => options.baseline = true,
            "--quick" => options.quick = true,
            "--write" => options.write = true,
            "--keep" => options.keep = true,
            "--procs" => match words.next().and_then(|given| given.parse().ok()) {
                Some(given @ 1..=64) => options.procs = given,
                _ => bail!("--procs needs a number up to 64"),
            },
            "--dir" => match words.next() {
                Some(dir) => options.dir = dir.into(),
                None => bail!("--dir needs a directory"),
            },
            flag if flag.starts_with('-') => bail!("'{flag}' is not understood; {USAGE}"),
            focus => {
                ensure!(options.focus.is_none(), "one FOCUS is enough: '{focus}' is a second one; {USAGE}");
                options.focus = Some(focus.to_owned());
            }
        }
    }
    ensure!(!(options.quick && options.focus.is_some()), "--quick is a FOCUS itself; {USAGE}");
    Ok(options)
}

fn run(options: &Options) -> Result<()> {
    let programs = Programs::find(None)?;
    let table_path = programs.root.join(TABLE);
    let mut table = match fs::read_to_string(&table_path) {
        Ok(text) => Table::parse(&text).with_context(|| format!("{} is damaged", table_path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Table::default(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", table_path.display())),
    };
    let quick_path = programs.root.join(QUICK);
    let mut quick: Vec<String> = fs::read_to_string(&quick_path)
        .with_context(|| format!("cannot read {}", quick_path.display()))?
        .lines()
        .map(str::to_owned)
        .collect();
    let focus = if options.quick {
        ensure!(!quick.is_empty(), "{QUICK} names no spec");
        quick.iter().map(|spec| specs::exactly(spec)).collect()
    } else {
        options.focus.iter().cloned().collect()
    };
    let choice = Choice { focus, procs: options.procs };

    let (edge, ordinary) = measure(options, &programs, &choice)?;
    let whole = choice.focus.is_empty();
    let regressions: Vec<String> =
        table.regressions(&edge.outcomes).into_iter().map(|one| format!("{} ({})", one.spec, one.why)).collect();
    if whole && edge.cut.is_none() {
        // A spec that upstream dropped is no longer one of M.
        table.rows.retain(|spec, _| edge.outcomes.iter().any(|one| one.spec == *spec));
    }
    table.enter_edge(&edge.outcomes);
    table.enter_ordinary(ordinary.as_ref().map_or(&[][..], |run| &run.outcomes));
    for outcome in edge.outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Passed) {
        say(&format!("not passed: {}: {}", outcome.spec, outcome.why));
    }
    for outcome in ordinary.iter().flat_map(|run| &run.outcomes).filter(|one| one.verdict != Verdict::Passed) {
        say(&format!("not passed on the ordinary node: {}: {}", outcome.spec, outcome.why));
    }
    if options.write {
        fs::write(&table_path, table.render()).with_context(|| format!("cannot write {}", table_path.display()))?;
        let fast = edge.outcomes.iter().filter(|one| one.verdict == Verdict::Passed && one.seconds <= QUICKLY);
        quick.extend(fast.map(|one| one.spec.clone()));
        quick.sort();
        quick.dedup();
        fs::write(&quick_path, quick.join("\n") + "\n")?;
    }
    for regression in &regressions {
        host::progress(&format!("passed once and does not now: {regression}"));
    }
    for (name, run) in [(EDGE, Some(&edge)), (ORDINARY, ordinary.as_ref())] {
        if let Some(reason) = run.and_then(|run| run.cut.as_ref()) {
            host::progress(&format!("the run on {name} was cut: {reason}"));
        }
    }
    say(&table.only(&edge.outcomes).summary());
    ensure!(!edge.outcomes.is_empty(), "no spec has a name that matches");
    ensure!(edge.cut.is_none(), "the run was cut: the numbers are not those of a whole one");
    ensure!(ordinary.is_none_or(|run| run.cut.is_none()), "the run on the ordinary node was cut");
    ensure!(regressions.is_empty(), "{} specs passed once and do not now", regressions.len());
    Ok(())
}

/// Brings the lab up, runs the specs on the edge and, where that is wanted, on an ordinary node in its place, and takes
/// the lab down.
fn measure(options: &Options, programs: &Programs, choice: &Choice) -> Result<(Run, Option<Run>)> {
    Lab::at(&options.dir)?.down()?;
    let upstream = programs.install_upstream(&std::path::absolute(&options.dir)?)?;
    // An ordinary node's first address is its host name, which nobody here can look up. An edge has no such address.
    let by_address = "kube-apiserver=--kubelet-preferred-address-types=InternalIP".to_owned();
    let control_plane = options.baseline.then_some(by_address).into_iter().collect();
    let up = UpOptions { edges: Some(1), runtime: Some(Runtime::Current), control_plane, ..UpOptions::default() };
    let measured = Lab::up(&options.dir, &up).and_then(|lab| {
        let edge = specs::run(&lab, &upstream, choice, EDGE)?;
        if !options.baseline {
            return Ok((edge, None));
        }
        // Each has the cluster for itself: a spec must not land on the other.
        lab.edge(EDGE).rm()?;
        let ordinary = ordinary::add(&lab, ORDINARY)?;
        let run = specs::run(&lab, &upstream, choice, ORDINARY);
        ordinary.save_logs(&lab);
        Ok((edge, Some(run?)))
    });
    if options.keep {
        host::progress(&format!("kept: the lab in {}", options.dir.display()));
    } else {
        Lab::at(&options.dir)?.down()?;
    }
    measured
}

/// One line of the result.
fn say(line: &str) {
    use std::io::Write;
    // Nobody reading is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_and_a_focus_stand_in_any_order() {
        let options = parsed("--procs 4 Pods --baseline").unwrap();
        assert_eq!((options.focus.as_deref(), options.baseline, options.procs), (Some("Pods"), true, 4));
        for wrong in ["a b", "--quick a", "--procs 0", "--procs", "--dir", "--nonsense"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
