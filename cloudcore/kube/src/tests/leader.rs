//! Several candidates, stopped and resumed at any point, over one Lease: at most one leads at any instant.

use proptest::prelude::*;

use super::*;

/// The Lease as the API server keeps it.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    version: u64,
}

impl Server {
    fn read(&self) -> Option<Value> {
        self.lease.clone()
    }

    /// Compare-and-swap; whether it was taken.
    fn write(&mut self, step: &Step) -> bool {
        let (lease, fits) = match step {
            Step::Wait => return false,
            Step::Create(lease) => (lease, self.lease.is_none()),
            Step::Replace(lease) => (lease, lease["metadata"]["version"] == self.version),
        };
        if fits {
            self.version += 1;
            let mut lease = lease.clone();
            lease["metadata"]["version"] = Value::from(self.version);
            self.lease = Some(lease);
        }
        fits
    }
}

/// A candidate and what it has under way.
struct Process {
    candidate: Candidate,
    /// When it began, and what it is about to write.
    flying: Option<(Elapsed, Step)>,
    /// What its wall clock is off by.
    skew_ms: i64,
}

#[derive(Debug, Clone)]
enum Action {
    /// Time passes, in milliseconds.
    Pass(u64),
    /// This one reads and decides.
    Read(usize),
    /// What it decided is written: `(taken, told)`. Without `taken` the request is lost, without `told` the answer.
    Write(usize, bool, bool),
    /// It gives up what it leads.
    Release(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1_u64..9_000).prop_map(Action::Pass),
        1 => (9_000_u64..60_000).prop_map(Action::Pass),
        6 => (0_usize..3).prop_map(Action::Read),
        6 => ((0_usize..3), prop::bool::weighted(0.8), prop::bool::weighted(0.8)).prop_map(|(n, taken, told)| Action::Write(n, taken, told)),
        1 => (0_usize..3).prop_map(Action::Release),
    ]
}

fn processes() -> Vec<Process> {
    let process = |n: i64| Process {
        candidate: Candidate::new(format!("p{n}"), Timing::default()),
        flying: None,
        skew_ms: n * 3_600_000,
    };
    (0..3).map(process).collect()
}

fn leaders(processes: &[Process], now: Elapsed) -> usize {
    processes.iter().filter(|process| process.candidate.leads_until(now).is_some()).count()
}

/// One action, without which a process is as if it were stopped.
fn act(action: &Action, processes: &mut [Process], server: &mut Server, now: &mut Elapsed) {
    let wall = |skew: i64, now: Elapsed| WallTime(skew + i64::try_from(now.0.as_millis()).unwrap());
    match *action {
        Action::Pass(millis) => *now = now.plus(Duration::from_millis(millis)),
        Action::Read(n) => {
            let process = &mut processes[n];
            let step = process.candidate.step(server.read(), *now, wall(process.skew_ms, *now));
            process.flying = Some((*now, step));
        }
        Action::Write(n, taken, told) => {
            let Some((begun, step)) = processes[n].flying.take() else { return };
            if taken && server.write(&step) && told {
                processes[n].candidate.written(begun);
            }
        }
        Action::Release(n) => {
            let process = &mut processes[n];
            if process.candidate.leads_until(*now).is_some()
                && let Some(lease) = server.read()
            {
                let lease = process.candidate.released(lease, wall(process.skew_ms, *now));
                server.write(&Step::Replace(lease));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn at_most_one_leads_and_somebody_soon_does(actions in prop::collection::vec(action(), 1..120)) {
        let (mut processes, mut server, mut now) = (processes(), Server::default(), Elapsed::default());
        for action in &actions {
            act(action, &mut processes, &mut server, &mut now);
            prop_assert!(leaders(&processes, now) <= 1, "two lead after {action:?}");
        }
        // When all run again, one leads within a Lease's time and two looks.
        let looks = Timing::default().lease.as_secs() / 2 + 2;
        for _ in 0..looks {
            for n in 0..3 {
                act(&Action::Read(n), &mut processes, &mut server, &mut now);
                act(&Action::Write(n, true, true), &mut processes, &mut server, &mut now);
                prop_assert!(leaders(&processes, now) <= 1);
            }
            act(&Action::Pass(2_000), &mut processes, &mut server, &mut now);
        }
        prop_assert_eq!(leaders(&processes, now), 1);
    }
}

fn lead(process: &mut Process, server: &mut Server, now: Elapsed) -> bool {
    let step = process.candidate.step(server.read(), now, WallTime(0));
    let taken = server.write(&step);
    if taken {
        process.candidate.written(now);
    }
    taken
}

#[test]
fn a_leader_that_slept_leads_no_more_although_its_lease_is_untouched() {
    let (mut processes, mut server) = (processes(), Server::default());
    assert!(lead(&mut processes[0], &mut server, Elapsed::from_millis(0)));
    assert!(processes[0].candidate.leads_until(Elapsed::from_millis(9_999)).is_some());
    assert!(processes[0].candidate.leads_until(Elapsed::from_millis(10_000)).is_none());
}

#[test]
fn a_lease_given_back_is_taken_at_once_and_counted() {
    let (mut processes, mut server) = (processes(), Server::default());
    let now = Elapsed::from_millis(5);
    assert!(lead(&mut processes[0], &mut server, now));
    assert!(!lead(&mut processes[1], &mut server, now), "it is held");
    let lease = processes[0].candidate.released(server.read().unwrap(), WallTime(0));
    assert!(server.write(&Step::Replace(lease)));
    assert!(lead(&mut processes[1], &mut server, now));
    let lease = server.read().unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "p1");
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
}

#[test]
fn what_others_put_into_the_lease_stays() {
    let (mut processes, mut server) = (processes(), Server::default());
    server.lease = Some(json!({"metadata": {"version": 0, "labels": {"a": "b"}}, "spec": null}));
    assert!(lead(&mut processes[2], &mut server, Elapsed::default()));
    assert_eq!(server.read().unwrap()["metadata"]["labels"]["a"], "b");
}
