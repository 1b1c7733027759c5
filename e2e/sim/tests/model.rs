//! A first look at the simulation; `hack/test model` runs thousands of seeds and every planted fault.

use kit::faults::Fault;
use sim::{Runner, Seeds, find, run_all};

#[test]
fn the_same_seed_is_the_same_run() {
    let runner = Runner::new().unwrap();
    for seed in 0..10 {
        let first = runner.run(seed, None, false).unwrap();
        let second = runner.run(seed, None, false).unwrap();
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "seed {seed}");
        assert_eq!(first.points, second.points, "seed {seed}");
        assert_ne!(first.hash, runner.run(seed + 100, None, false).unwrap().hash, "seed {seed}");
    }
}

#[test]
fn states_are_equal_and_the_ledger_balances() {
    let report = run_all(&Runner::new().unwrap(), Seeds { first: 0, count: 100, jobs: 2 }, |_, _| {});
    assert_eq!(report.failed, []);
    assert!(report.kills > 0 && !report.points.is_empty());
}

#[test]
fn a_planted_fault_is_caught() {
    let caught =
        find(&Runner::new().unwrap(), Fault::SupersededTwice, Seeds { first: 0, count: 100, jobs: 2 });
    assert!(caught.is_some());
}
