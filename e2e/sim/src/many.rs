//! Many runs, on as many threads as wished.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use kit::faults::Fault;

use crate::run::{Outcome, Runner};

/// Which seeds.
#[derive(Debug, Clone, Copy)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// How many at once.
    pub jobs: usize,
}

/// What came of many runs.
#[derive(Debug, Default)]
pub struct Report {
    /// Runs made.
    pub seeds: u64,
    /// Those that failed, and how.
    pub failed: Vec<(u64, String)>,
    /// Steps of tasks in all.
    pub steps: u64,
    /// Processes killed in all.
    pub kills: u64,
    /// The awaits at which processes were killed.
    pub points: BTreeSet<String>,
}

/// How a planted fault was caught.
#[derive(Debug)]
pub struct Caught {
    /// Seeds that were run, this one included.
    pub after: u64,
    /// The seed.
    pub seed: u64,
    /// By what.
    pub wrong: String,
}

/// Runs them all with the product as it is. `progress` hears of every one.
pub fn run_all(runner: &Runner, seeds: Seeds, progress: impl Fn(&Outcome, &Report) + Sync) -> Report {
    let report = Mutex::new(Report::default());
    each(runner, None, seeds, |outcome| {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.seeds += 1;
        report.steps += outcome.steps;
        report.kills += outcome.kills;
        report.points.extend(outcome.points.iter().cloned());
        report.failed.extend(outcome.wrong.clone().map(|wrong| (outcome.seed, wrong)));
        progress(&outcome, &report);
        true
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.failed.sort();
    report
}

/// Runs seeds with a fault planted until one catches it.
pub fn find(runner: &Runner, fault: Fault, seeds: Seeds) -> Option<Caught> {
    let caught = Mutex::new((0, None::<Caught>));
    each(runner, Some(fault), seeds, |outcome| {
        let mut caught = caught.lock().unwrap_or_else(PoisonError::into_inner);
        caught.0 += 1;
        let after = caught.0;
        if let Some(wrong) = outcome.wrong
            && caught.1.is_none()
        {
            caught.1 = Some(Caught { after, seed: outcome.seed, wrong });
        }
        caught.1.is_none()
    });
    caught.into_inner().unwrap_or_else(PoisonError::into_inner).1
}

/// Runs seeds until `take` has enough.
fn each(runner: &Runner, fault: Option<Fault>, seeds: Seeds, take: impl Fn(Outcome) -> bool + Sync) {
    let next = AtomicU64::new(0);
    let work = || loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= seeds.count {
            return;
        }
        let seed = seeds.first + at;
        let ran = runner.run(seed, fault, false);
        let outcome = ran.unwrap_or_else(|error| Outcome::broken(seed, format!("cannot run: {error:#}")));
        if !take(outcome) {
            next.store(seeds.count, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..seeds.jobs.max(1) {
            scope.spawn(work);
        }
    });
}
