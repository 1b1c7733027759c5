//! Upstream's own specs against an edge of a lab, and against an ordinary node in its place, so that what this machine
//! cannot do is told from what an edge cannot do.
//!
//! In: which specs. Out: a line for each that did not pass, `N of M passed, baseline B`, and with `--write` the committed
//! table. A run fails where a spec fails that the table says passed once, and where it was cut.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use crate::lab::{Lab, UpOptions};
use crate::programs::Programs;
use crate::{Runtime, host, ordinary};

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
const USAGE: &str = "usage: hack/conformance [FOCUS] [--baseline] [--quick] [--write] [--procs N] [--keep] [--again] [--dir DIR]";

/// A word of the command line that stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flag {
    /// Run on an ordinary node too.
    Baseline,
    /// Run what passes quickly.
    Quick,
    /// Enter what came out into the committed files.
    Write,
    /// Leave the lab up.
    Keep,
    /// Run nothing: tell the last run once more.
    Again,
}

/// What was asked.
#[derive(Debug, PartialEq)]
struct Options {
    focus: Option<String>,
    flags: BTreeSet<Flag>,
    procs: u32,
    dir: PathBuf,
}

impl Options {
    fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }
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
        flags: BTreeSet::new(),
        procs: 16,
        dir: Path::new("target/conformance").to_owned(),
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let flag = match word.as_str() {
            "--baseline" => Some(Flag::Baseline),
            "--quick" => Some(Flag::Quick),
            "--write" => Some(Flag::Write),
            "--keep" => Some(Flag::Keep),
            "--again" => Some(Flag::Again),
            _ => None,
        };
        options.flags.extend(flag);
        match word.as_str() {
            _ if flag.is_some() => {}
            "--procs" => match words.next().and_then(|given| given.parse().ok()) {
                Some(given @ 1..=64) => options.procs = given,
                _ => bail!("--procs needs a number from 1 to 64"),
            },
            "--dir" => match words.next() {
                Some(dir) => options.dir = dir.into(),
                None => bail!("--dir needs a directory"),
            },
            unknown if unknown.starts_with('-') => bail!("'{unknown}' is not understood; {USAGE}"),
            focus => {
                ensure!(options.focus.is_none(), "one FOCUS is enough: '{focus}' is a second one; {USAGE}");
                options.focus = Some(focus.to_owned());
            }
        }
    }
    ensure!(!(options.has(Flag::Quick) && options.focus.is_some()), "--quick is a FOCUS itself; {USAGE}");
    Ok(options)
}

/// The committed files.
#[derive(Debug)]
struct Known {
    root: PathBuf,
    table: Table,
    quick: BTreeSet<String>,
}

impl Known {
    fn read(root: &Path) -> Result<Self> {
        let table = match fs::read_to_string(root.join(TABLE)) {
            Ok(text) => Table::parse(&text).with_context(|| format!("{TABLE} is damaged"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Table::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {TABLE}")),
        };
        let quick = fs::read_to_string(root.join(QUICK)).with_context(|| format!("cannot read {QUICK}"))?;
        Ok(Self { root: root.to_owned(), table, quick: quick.lines().map(str::to_owned).collect() })
    }

    fn write(&self) -> Result<()> {
        let quick: String = self.quick.iter().flat_map(|spec| [spec.as_str(), "\n"]).collect();
        for (file, text) in [(TABLE, self.table.render()), (QUICK, quick)] {
            fs::write(self.root.join(file), text).with_context(|| format!("cannot write {file}"))?;
        }
        Ok(())
    }
}

fn run(options: &Options) -> Result<()> {
    let programs = Programs::find(None)?;
    let mut known = Known::read(&programs.root)?;
    let focus: Vec<String> = if options.has(Flag::Quick) {
        ensure!(!known.quick.is_empty(), "{QUICK} names no spec");
        known.quick.iter().map(|spec| specs::exactly(spec)).collect()
    } else {
        options.focus.iter().cloned().collect()
    };
    let whole = focus.is_empty() && !options.has(Flag::Again);
    let choice = Choice { focus, procs: options.procs };
    let (edge, ordinary) =
        if options.has(Flag::Again) { last(options)? } else { measure(options, &programs, &choice)? };

    let regressions = known.table.regressions(&edge.outcomes);
    for lost in &regressions {
        host::progress(&format!("passed once and does not now: {} ({})", lost.spec, lost.why));
    }
    let lost = regressions.len();
    let ran: BTreeSet<&str> = edge.outcomes.iter().map(|outcome| outcome.spec.as_str()).collect();
    if whole && edge.cut.is_none() {
        // A spec that upstream dropped is no longer one of M; that it is gone is said.
        for (spec, _) in known.table.rows.extract_if(.., |spec, _| !ran.contains(spec.as_str())) {
            host::progress(&format!("no longer among upstream's specs: {spec}"));
        }
    }
    let missing =
        known.quick.iter().filter(|spec| options.has(Flag::Quick) && !ran.contains(spec.as_str())).count();
    known.table.enter_edge(&edge.outcomes);
    known.table.enter_ordinary(ordinary.as_ref().map_or(&[][..], |run| &run.outcomes));
    tell(EDGE, &edge);
    if let Some(run) = &ordinary {
        tell(ORDINARY, run);
    }
    let table = Lab::at(&options.dir)?.dir().join("logs/conformance.md");
    fs::write(&table, known.table.render()).with_context(|| format!("cannot write {}", table.display()))?;
    host::progress(&format!("the table: {}", table.display()));
    say(&known.table.only(&edge.outcomes).summary());
    ensure!(!edge.outcomes.is_empty(), "no spec has a name that matches");
    let cut = |run: &Run| run.cut.is_some();
    ensure!(
        !cut(&edge) && !ordinary.as_ref().is_some_and(cut),
        "a run was cut, so the numbers are not those of a whole one"
    );
    ensure!(missing == 0, "{missing} specs of {QUICK} were not run");
    // What was lost must not become what is expected.
    ensure!(lost == 0, "{lost} specs passed once and do not now; nothing was written");
    if options.has(Flag::Write) {
        let fast =
            edge.outcomes.iter().filter(|one| one.verdict == Verdict::Passed && one.seconds <= QUICKLY);
        known.quick.extend(fast.map(|one| one.spec.clone()));
        known.write()?;
    }
    Ok(())
}

/// What did not pass, and whether the run came to its end.
fn tell(node: &str, run: &Run) {
    for outcome in run.outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Passed) {
        say(&format!("{node}: {}: {}: {}", table::word(outcome.verdict), outcome.spec, outcome.why));
    }
    if let Some(reason) = &run.cut {
        host::progress(&format!("{node}: the run was cut: {reason}"));
    }
}

/// What the last run in the directory found.
fn last(options: &Options) -> Result<(Run, Option<Run>)> {
    let lab = Lab::at(&options.dir)?;
    let ordinary = specs::report_path(&lab, ORDINARY);
    let ordinary = ordinary.exists().then(|| specs::outcome(&ordinary)).transpose()?;
    Ok((specs::outcome(&specs::report_path(&lab, EDGE))?, ordinary))
}

/// Brings the lab up, runs the specs on the edge and, where that is wanted, on an ordinary node in its place, and takes
/// the lab down.
fn measure(options: &Options, programs: &Programs, choice: &Choice) -> Result<(Run, Option<Run>)> {
    Lab::at(&options.dir)?.down()?;
    for node in [EDGE, ORDINARY] {
        let _ = fs::remove_file(specs::report_path(&Lab::at(&options.dir)?, node));
    }
    let upstream = programs.install_upstream(&std::path::absolute(&options.dir)?)?;
    let control_plane =
        options.has(Flag::Baseline).then(|| ordinary::BY_ADDRESS.to_owned()).into_iter().collect();
    let up =
        UpOptions { edges: Some(1), runtime: Some(Runtime::Current), control_plane, ..UpOptions::default() };
    let measured = Lab::up(&options.dir, &up).and_then(|lab| {
        let edge = specs::run(&lab, &upstream, choice, EDGE)?;
        if !options.has(Flag::Baseline) {
            return Ok((edge, None));
        }
        // Each has the cluster for itself: a spec must not land on the other.
        lab.edge(EDGE).rm()?;
        let ordinary = ordinary::add(&lab, ORDINARY)?;
        let run = specs::run(&lab, &upstream, choice, ORDINARY);
        ordinary.save_logs(&lab);
        Ok((edge, Some(run?)))
    });
    if options.has(Flag::Keep) {
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
        assert_eq!((options.focus.as_deref(), options.procs), (Some("Pods"), 4));
        assert!(options.has(Flag::Baseline) && !options.has(Flag::Write));
        for wrong in ["a b", "--quick a", "--procs 0", "--procs", "--dir", "--nonsense"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
