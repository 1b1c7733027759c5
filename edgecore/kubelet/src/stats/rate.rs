//! Processor time per second, which needs two looks: the last one is kept, and nobody looks unless somebody asks.

use std::collections::BTreeMap;
use std::time::Duration;

use kit::Elapsed;

/// A figure over less than this says little, since processes come in bursts: the last one holds on.
const AVERAGED: Duration = Duration::from_secs(1);
/// Better than no figure at all.
const SHORTEST: Duration = Duration::from_millis(200);
/// A figure over more than this is of another time than the question.
const LONGEST: Duration = Duration::from_mins(2);

/// The last look at each cgroup.
#[derive(Debug, Default)]
pub(crate) struct Rates(BTreeMap<String, Look>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    at: Elapsed,
    /// Nanoseconds of processor time by then.
    cpu_ns: u64,
    /// Nanoseconds of it a second before then.
    rate: Option<u64>,
}

impl Rates {
    /// Takes in one look at everything; what is not among it is gone, and forgotten. Says whether of anything no figure
    /// can be told yet.
    pub(crate) fn take<'a>(&mut self, at: Elapsed, seen: impl IntoIterator<Item = (&'a str, u64)>) -> bool {
        let looks = seen.into_iter().map(|(cgroup, cpu_ns)| {
            (cgroup.to_owned(), next(self.0.get(cgroup), Look { at, cpu_ns, rate: None }))
        });
        self.0 = looks.collect();
        self.0.values().any(|look| look.rate.is_none())
    }

    /// Takes in a second look at some of what is known, right after the first.
    pub(crate) fn again<'a>(&mut self, at: Elapsed, seen: impl IntoIterator<Item = (&'a str, u64)>) {
        for (cgroup, cpu_ns) in seen {
            if let Some(look) = self.0.get_mut(cgroup) {
                *look = next(Some(look), Look { at, cpu_ns, rate: None });
            }
        }
    }

    /// Nanoseconds of processor time a second.
    pub(crate) fn of(&self, cgroup: &str) -> Option<u64> {
        self.0.get(cgroup)?.rate
    }
}

fn next(before: Option<&Look>, now: Look) -> Look {
    // Less than before: it is another one of the same name.
    let Some(before) = before.filter(|before| before.cpu_ns <= now.cpu_ns) else { return now };
    let age = now.at.since(before.at);
    let least = if before.rate.is_some() { AVERAGED } else { SHORTEST };
    if age < least {
        return *before;
    }
    if age > LONGEST {
        return now;
    }
    let used = u128::from(now.cpu_ns - before.cpu_ns) * 1_000_000_000;
    let rate = used.checked_div(age.as_nanos()).and_then(|rate| u64::try_from(rate).ok());
    Look { rate, ..now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_comes_from_two_looks_that_are_apart() {
        let mut rates = Rates::default();
        let mut look = |millis, cpu_ns| {
            let missing = rates.take(Elapsed::from_millis(millis), [("/a", cpu_ns)]);
            (missing, rates.of("/a"))
        };
        assert_eq!(look(0, 0), (true, None));
        assert_eq!(look(100, 50), (true, None), "too soon to tell");
        assert_eq!(look(250, 50_000_000), (false, Some(200_000_000)));
        // The figure holds until the next that is worth more.
        assert_eq!(look(900, 900_000_000), (false, Some(200_000_000)));
        assert_eq!(look(2250, 2_050_000_000), (false, Some(1_000_000_000)));
        // A cgroup made anew under the name, and a look too long ago.
        assert_eq!(look(4250, 0), (true, None));
        assert_eq!(look(4250 + 120_001, 1), (true, None));
        assert_eq!(look(4250 + 120_401, 1), (false, Some(0)));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut rates = Rates::default();
        rates.take(Elapsed::from_millis(0), [("/a", 0), ("/b", 0)]);
        rates.take(Elapsed::from_millis(500), [("/b", 0), ("/c", 0)]);
        assert_eq!((rates.of("/a"), rates.of("/b"), rates.0.len()), (None, Some(0), 2));
        // A second look tells of some, and forgets none.
        rates.again(Elapsed::from_millis(1000), [("/c", 50_000_000), ("/d", 5)]);
        assert_eq!((rates.of("/b"), rates.of("/c"), rates.of("/d")), (Some(0), Some(100_000_000), None));
    }
}
