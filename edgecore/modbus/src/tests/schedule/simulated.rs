//! Lines of units that live, die and lie, for minutes of simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use crate::answer::Answer;
use crate::schedule::{
    Failure, Job, Line, LineConfig, Next, REPEATS, ReadId, TURNS_PER_PROBE, WRITES_IN_A_ROW, WriteId,
};
use crate::tests::schedule::{PAUSE, TIMEOUT, ms, write};
use crate::tests::{holding, unit};
use crate::unit::Unit;

/// How a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Live,
    Dead,
    /// Answers, and nobody understands it.
    Damaged,
    /// Dead in every other stretch of so many seconds.
    Flapping(u64),
}

impl Nature {
    fn at(self, now: Duration) -> Self {
        match self {
            Self::Flapping(seconds) if now.as_secs() / seconds % 2 == 1 => Self::Dead,
            Self::Flapping(_) => Self::Live,
            other @ (Self::Live | Self::Dead | Self::Damaged) => other,
        }
    }
}

const LATENCY: Duration = ms(15);

/// What happened on a line.
struct Log {
    /// When each read was answered.
    read: BTreeMap<ReadId, Vec<Duration>>,
    /// Writes in the order in which they were sent, by unit.
    sent: BTreeMap<Unit, Vec<WriteId>>,
    /// How often each ended.
    ended: BTreeMap<WriteId, u32>,
    /// Requests that each unit left unanswered.
    missed: BTreeMap<Unit, u32>,
    requests: u32,
    end: Duration,
}

/// A request under way.
struct Sent {
    job: Job,
    unit: Unit,
    now: Duration,
    until: Duration,
}

struct Plant {
    natures: BTreeMap<Unit, Nature>,
    /// Writes that are still to be given, with their times, the earliest first.
    writes: VecDeque<(Duration, Unit, WriteId, Option<Duration>)>,
    random: f64,
}

impl Plant {
    /// Lives through the time up to `end`.
    fn run(&mut self, line: &mut Line, end: Duration) -> Log {
        let mut log = Log {
            read: BTreeMap::new(),
            sent: BTreeMap::new(),
            ended: BTreeMap::new(),
            missed: BTreeMap::new(),
            requests: 0,
            end,
        };
        let (mut now, mut free) = (ms(0), ms(0));
        while now < end {
            while let Some((_, unit, id, expires)) = self.writes.pop_front_if(|write| write.0 <= now) {
                if line.write(unit, id, write(7), expires).is_err() {
                    *log.ended.entry(id).or_default() += 1;
                }
            }
            match line.next(now) {
                Next::Send { job, unit, until, .. } => {
                    assert!(now >= free, "no pause");
                    log.requests += 1;
                    now = self.exchange(line, &Sent { job, unit, now, until }, &mut log);
                    free = now + PAUSE;
                }
                Next::Expired { write, .. } => *log.ended.entry(write).or_default() += 1,
                Next::WaitUntil(at) => {
                    assert!(at > now, "waits for what is over");
                    now = self.writes.front().map_or(at, |write| write.0.min(at)).max(now);
                }
                Next::Idle => now = self.writes.front().map_or(end, |write| write.0),
            }
        }
        log
    }

    /// What becomes of a request. Returns when.
    fn exchange(&mut self, line: &mut Line, sent: &Sent, log: &mut Log) -> Duration {
        let Sent { job, unit, now, until } = *sent;
        self.random = (self.random * 7.3 + 0.1).fract();
        if let Job::Write(id) = job {
            log.sent.entry(unit).or_default().push(id);
        }
        let nature = self.natures[&unit].at(now);
        let (then, finished) = match nature {
            Nature::Live | Nature::Flapping(_) => {
                let answer =
                    if matches!(job, Job::Read(_)) { Answer::Registers(vec![1]) } else { Answer::Written };
                (now + LATENCY, line.answered(answer, now + LATENCY, self.random))
            }
            Nature::Damaged => (now + LATENCY, line.failed(Failure::Damaged, now + LATENCY, self.random)),
            Nature::Dead => {
                *log.missed.entry(unit).or_default() += 1;
                (until, line.failed(Failure::NoAnswer, until, self.random))
            }
        };
        let finished = finished.unwrap();
        assert_eq!((finished.job, finished.unit), (job, unit));
        match job {
            Job::Read(id) if finished.result.is_ok() => log.read.entry(id).or_default().push(then),
            Job::Read(_) => {}
            Job::Write(id) => *log.ended.entry(id).or_default() += 1,
        }
        then
    }
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        3 => Just(Nature::Live),
        2 => Just(Nature::Dead),
        1 => Just(Nature::Damaged),
        1 => (5_u64..40).prop_map(Nature::Flapping),
    ]
}

/// Units by their nature, each with reads by their periods in milliseconds; the first lives.
fn plant() -> impl Strategy<Value = Vec<(Nature, Vec<u64>)>> {
    prop::collection::vec((nature(), prop::collection::vec(50_u64..5000, 1..5)), 1..16).prop_map(|mut all| {
        all[0].0 = Nature::Live;
        all
    })
}

/// Whose each read is, and its period.
type Reads = BTreeMap<ReadId, (Unit, Duration)>;

fn build(units: &[(Nature, Vec<u64>)]) -> (Line, BTreeMap<Unit, Nature>, Reads) {
    let mut line = Line::new(LineConfig { timeout: TIMEOUT, per_byte: ms(0), pause: PAUSE, most_writes: 16 });
    let (mut natures, mut reads) = (BTreeMap::new(), BTreeMap::new());
    for (number, (nature, periods)) in (1..).zip(units) {
        natures.insert(unit(number), *nature);
        for period in periods {
            let id = ReadId(u64::try_from(reads.len()).unwrap());
            line.poll(unit(number), id, holding(0, 1), ms(*period), ms(0));
            reads.insert(id, (unit(number), ms(*period)));
        }
    }
    (line, natures, reads)
}

const END: Duration = Duration::from_mins(2);

/// How long a read may wait that is due. Each other read may go before, three times if its answer is damaged, and so
/// many writes with each; a probe after every few of all these; and a unit that has answered may die, and once more.
fn bound(natures: &BTreeMap<Unit, Nature>, reads: &Reads, writes: u32) -> Duration {
    let damaged = |unit: &Unit| if natures[unit] == Nature::Damaged { 1 + REPEATS } else { 1 };
    let turns = (1 + reads.values().map(|(unit, _)| damaged(unit)).sum::<u32>()) * (1 + writes);
    let flapping = natures.values().filter(|nature| matches!(nature, Nature::Flapping(_))).count();
    let timeouts = turns.div_ceil(TURNS_PER_PROBE) + 1 + 2 * u32::try_from(flapping).unwrap();
    (LATENCY + PAUSE) * turns + (TIMEOUT + PAUSE) * timeouts
}

fn read_in_time(
    natures: &BTreeMap<Unit, Nature>,
    reads: &Reads,
    log: &Log,
    bound: Duration,
) -> Result<(), TestCaseError> {
    for (id, (_, period)) in reads.iter().filter(|(_, (of, _))| natures[of] == Nature::Live) {
        let mut last = ms(0);
        for at in log.read.get(id).into_iter().flatten().chain([&log.end]) {
            let waited = at.saturating_sub(last);
            prop_assert!(waited <= *period + bound, "{:?} waited {:?}, bound {:?}", id, waited, bound);
            last = *at;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the others do: what lives is read, each time within a bound that only the number of reads makes.
    #[test]
    fn what_lives_is_read_in_bounded_time(units in plant(), random in 0.0_f64..1.0) {
        let (mut line, natures, reads) = build(&units);
        let mut plant = Plant { natures, writes: VecDeque::new(), random };
        let log = plant.run(&mut line, END);
        read_in_time(&plant.natures, &reads, &log, bound(&plant.natures, &reads, 0))?;
    }

    /// And however much is written.
    #[test]
    fn what_lives_is_read_among_writes(
        units in plant(),
        writes in prop::collection::vec(0_usize..16, 500..3000),
        random in 0.0_f64..1.0,
    ) {
        let (mut line, natures, reads) = build(&units);
        // So many more than there is time for that writes always wait.
        let writes = (0..).zip(writes).map(|(id, to)| {
            (ms(id * 20), unit(i64::try_from(to % units.len()).unwrap() + 1), WriteId(id), None)
        });
        let mut plant = Plant { natures, writes: writes.collect(), random };
        let log = plant.run(&mut line, Duration::from_mins(1));
        read_in_time(&plant.natures, &reads, &log, bound(&plant.natures, &reads, WRITES_IN_A_ROW))?;
    }

    /// Writes to one unit are sent in the order in which they were given, none twice; each ends once or still waits.
    #[test]
    fn writes_keep_their_order_and_end_once(
        units in plant(),
        writes in prop::collection::vec((0_u64..120_000, 0_usize..16, prop::option::of(1_u64..30_000)), 0..200),
        random in 0.0_f64..1.0,
    ) {
        let (mut line, natures, _) = build(&units);
        let count = units.len();
        let mut given: Vec<_> = writes
            .into_iter()
            .map(|(at, to, wait)| (at, unit(i64::try_from(to % count).unwrap() + 1), wait))
            .collect();
        given.sort();
        let given: Vec<_> = (0..)
            .zip(given)
            .map(|(id, (at, to, wait))| (ms(at), to, WriteId(id), wait.map(|wait| ms(at + wait))))
            .collect();
        let ids: Vec<WriteId> = given.iter().map(|write| write.2).collect();
        let mut plant = Plant { natures, writes: given.into(), random };
        let log = plant.run(&mut line, END);
        for sent in log.sent.values() {
            prop_assert!(sent.is_sorted_by(|one, next| one < next), "{:?}", sent);
        }
        let mut waiting: Vec<WriteId> = plant.natures.keys().flat_map(|unit| line.remove(*unit)).collect();
        waiting.extend(plant.writes.iter().map(|write| write.2));
        for id in ids {
            let ended = log.ended.get(&id).copied().unwrap_or_default();
            let waits = u32::from(waiting.contains(&id));
            prop_assert_eq!(ended + waits, 1, "{:?}", id);
        }
    }

    /// A dead unit costs a few requests and then one or two a minute: in two minutes twelve at most.
    #[test]
    fn dead_units_are_seldom_asked(units in plant(), random in 0.0_f64..1.0) {
        let (mut line, natures, _) = build(&units);
        let mut plant = Plant { natures, writes: VecDeque::new(), random };
        let log = plant.run(&mut line, END);
        for (unit, nature) in &plant.natures {
            let missed = log.missed.get(unit).copied().unwrap_or_default();
            if *nature == Nature::Dead {
                prop_assert!((4..=12).contains(&missed), "{} was asked {} times", unit, missed);
            }
        }
    }
}

/// 30 units of two reads a second each on one line, one of them dead, another later: nothing that lives is read later
/// than a timeout after its time, as long as the line has time for all.
#[test]
fn one_dead_unit_of_thirty_delays_by_one_timeout_each_back_off() {
    let units: Vec<_> = (0..30)
        .map(|n| {
            let nature = if n == 7 { Nature::Dead } else { Nature::Live };
            (nature, vec![2000])
        })
        .collect();
    let (mut line, natures, reads) = build(&units);
    let mut plant = Plant { natures, writes: VecDeque::new(), random: 0.5 };
    let log = plant.run(&mut line, Duration::from_mins(10));
    let dead = unit(8);
    for (id, (of, period)) in reads {
        if of == dead {
            continue;
        }
        let times = &log.read[&id];
        assert!(times.len() >= 299, "{id:?} was read {} times", times.len());
        let latest = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
        assert!(latest <= period + TIMEOUT + PAUSE + LATENCY, "{id:?} waited {latest:?}");
    }
    assert!((10..=25).contains(&log.missed[&dead]), "{}", log.missed[&dead]);
    assert!(log.requests >= 29 * 299);
}
