//! `sim`: runs seeds, replays one, or shows that planted faults are caught.
//!
//! ```text
//! sim --seeds 10000 --faults 400    as hack/test does: every seed as the product is, then every fault until it is caught
//! sim --seed 42 [--fault NAME]      replays one seed and tells what happens
//! ```

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use kit::faults::Fault;
use sim::{Caught, Outcome, Report, Runner, Seeds, find, run_all};

/// A deterministic simulation of both sides.
#[derive(Debug, Parser)]
struct Args {
    /// Replays this seed and tells what happens.
    #[arg(long, conflicts_with_all = ["seeds", "faults"])]
    seed: Option<u64>,
    /// With this fault planted; without a seed: of all faults only this one.
    #[arg(long)]
    fault: Option<String>,
    /// Runs so many seeds.
    #[arg(long, default_value_t = 0)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Then plants each fault, and runs at most so many seeds until it is caught.
    #[arg(long, default_value_t = 0)]
    faults: u64,
    /// Lists the await points at which processes were killed.
    #[arg(long)]
    points: bool,
    /// Seeds at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let runner = Runner::new()?;
    let mut out = std::io::stdout();
    let fault = args.fault.as_deref().map(named).transpose()?;
    if let Some(seed) = args.seed {
        let Outcome { wrong, hash, steps, .. } = runner.run(seed, fault, true)?;
        let verdict = wrong.as_deref().unwrap_or("nothing is wrong");
        writeln!(out, "seed {seed}: {verdict} ({steps} steps, hash {hash:016x})")?;
        return Ok(if wrong.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let seeds = Seeds { first: args.from, count: args.seeds, jobs: args.jobs };
    let report = run_all(&runner, seeds, |outcome, report| {
        // Progress is for people; where nobody reads it, the end still counts.
        if let Some(wrong) = &outcome.wrong {
            let _ = writeln!(std::io::stderr(), "seed {} FAILED: {wrong}", outcome.seed);
        }
        if report.seeds.is_multiple_of(500) {
            let _ = writeln!(std::io::stderr(), "{} seeds, {} points", report.seeds, report.points.len());
        }
    });
    tell(&mut out, &report)?;
    for point in report.points.iter().filter(|_| args.points) {
        writeln!(out, "point {point}")?;
    }
    let mut good = report.failed.is_empty();
    let planted = |one: &Fault| args.faults > 0 && fault.is_none_or(|only| only == *one);
    for fault in Fault::ALL.into_iter().filter(planted) {
        let seeds = Seeds { first: args.from, count: args.faults, jobs: args.jobs };
        if let Some(Caught { after, seed, wrong }) = find(&runner, fault, seeds) {
            writeln!(out, "fault {fault:?}: caught after {after} seeds, by seed {seed}: {wrong}")?;
        } else {
            good = false;
            writeln!(out, "fault {fault:?}: NOT CAUGHT within {} seeds", args.faults)?;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn named(name: &str) -> anyhow::Result<Fault> {
    let found = Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
    found.with_context(|| format!("no fault is called {name}; there are: {:?}", Fault::ALL))
}

fn tell(out: &mut impl Write, report: &Report) -> anyhow::Result<()> {
    for (seed, wrong) in &report.failed {
        writeln!(out, "seed {seed} FAILED: {wrong}")?;
        writeln!(out, "  replay: cargo run -p skerry-e2e-sim --features testing -- --seed {seed}")?;
    }
    writeln!(
        out,
        "{} seeds, {} failed; {} steps, {} processes killed at {} distinct await points",
        report.seeds,
        report.failed.len(),
        report.steps,
        report.kills,
        report.points.len()
    )?;
    Ok(())
}
