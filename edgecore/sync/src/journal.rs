//! In which order entries of the journal are sent, and what of them is not acknowledged yet.
//!
//! Each stream has a window of its own, so that one the cloud cannot take holds up no other. Within a stream the entry
//! of highest priority is next, but each fourth time it is the oldest of all: so every entry has its turn after
//! at most four times as many others as are older. Entries of one priority are always sent in order; that is what a
//! producer relies on that gives all readings of a device the same.

use std::collections::BTreeMap;

use edgecore_store::HIGHEST_PRIORITY;
use kit::Elapsed;

/// Priorities there are.
pub(crate) const PRIORITIES: usize = HIGHEST_PRIORITY as usize + 1;
/// Entries of one stream in flight.
const WINDOW: usize = 64;
/// Each so many picks the oldest is next.
const OLDEST_EVERY: u64 = 4;

/// What is sent of one stream, in one session.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// By priority: entries with higher numbers were not sent in this session.
    after: [u64; PRIORITIES],
    picks: u64,
    /// By number: when it was sent.
    flying: BTreeMap<u64, Elapsed>,
}

impl Sending {
    /// By priority, the last number sent.
    pub(crate) const fn after(&self) -> &[u64; PRIORITIES] {
        &self.after
    }

    /// How many more may be sent.
    pub(crate) fn room(&self) -> usize {
        WINDOW.saturating_sub(self.flying.len())
    }

    /// Takes up to `most` entries up for sending, as far as there is room. `waiting` are numbers by priority, each list
    /// in order and beyond [`Sending::after`].
    pub(crate) fn pick(&mut self, waiting: &[Vec<u64>], most: usize, now: Elapsed) -> Vec<u64> {
        let mut left: Vec<_> = waiting.iter().map(|seqs| seqs.iter().copied().peekable()).collect();
        let mut picked = Vec::new();
        while picked.len() < most && self.room() > 0 {
            let heads = left.iter_mut().enumerate().filter_map(|(p, seqs)| Some((p, *seqs.peek()?)));
            let next = if self.picks % OLDEST_EVERY == OLDEST_EVERY - 1 {
                heads.min_by_key(|(_, seq)| *seq)
            } else {
                heads.max_by_key(|(priority, _)| *priority)
            };
            let Some((priority, seq)) = next else { break };
            if let (Some(seqs), Some(after)) = (left.get_mut(priority), self.after.get_mut(priority)) {
                seqs.next();
                *after = seq;
            }
            self.picks += 1;
            self.flying.insert(seq, now);
            picked.push(seq);
        }
        picked
    }

    /// The entry arrived, was refused, or was never sent; answers when it was picked.
    pub(crate) fn done(&mut self, seq: u64) -> Option<Elapsed> {
        self.flying.remove(&seq)
    }
}

/// What is sent of all streams.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    streams: BTreeMap<String, Sending>,
}

impl Outgoing {
    /// One stream.
    pub(crate) fn stream(&mut self, name: &str) -> &mut Sending {
        self.streams.entry(name.to_owned()).or_default()
    }

    /// An entry is done; answers its stream, and when it was picked.
    pub(crate) fn done(&mut self, seq: u64) -> Option<(&str, Elapsed)> {
        self.streams.iter_mut().find_map(|(name, stream)| Some((name.as_str(), stream.done(seq)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A stream's entries that are not taken by the cloud, by priority and number.
    type Held = BTreeSet<(usize, u64)>;

    fn waiting(held: &Held, after: &[u64; PRIORITIES], limit: usize) -> Vec<Vec<u64>> {
        let of = |priority: usize| {
            let seqs = held.iter().filter(|(p, seq)| *p == priority && *seq > after[priority]);
            seqs.map(|(_, seq)| *seq).take(limit).collect()
        };
        (0..PRIORITIES).map(of).collect()
    }

    #[test]
    fn the_highest_is_next_and_each_fourth_time_the_oldest() {
        let mut sending = Sending::default();
        let mut lists = vec![Vec::new(); PRIORITIES];
        lists[1] = vec![1, 2, 3];
        lists[7] = vec![4, 5, 6, 7, 8];
        assert_eq!(sending.pick(&lists, 6, Elapsed::default()), [4, 5, 6, 1, 7, 8]);
        assert_eq!((sending.after()[1], sending.after()[7]), (1, 8));
        lists[1].remove(0);
        lists[7].clear();
        assert_eq!(sending.pick(&lists, 9, Elapsed::default()), [2, 3]);
    }

    #[test]
    fn streams_do_not_share_a_window() {
        let mut outgoing = Outgoing::default();
        let now = Elapsed::from_millis(7);
        let mut lists = vec![Vec::new(); PRIORITIES];
        lists[0] = (1..=100).collect();
        assert_eq!(outgoing.stream("messages").pick(&lists, 100, now).len(), WINDOW);
        assert_eq!(outgoing.stream("messages").room(), 0);
        lists[0] = vec![101];
        assert_eq!(outgoing.stream("events").pick(&lists, 100, now), [101]);
        assert_eq!(outgoing.done(101), Some(("events", now)));
        assert_eq!(outgoing.done(101), None);
        assert_eq!(outgoing.done(1), Some(("messages", now)));
        assert_eq!(outgoing.stream("messages").room(), 1);
    }

    proptest! {
        #[test]
        fn each_is_sent_once_in_the_order_of_its_priority_and_none_starves(
            steps in proptest::collection::vec((0_u8..4, 0..PRIORITIES, 1_usize..9), 1..150),
        ) {
            let mut sending = Sending::default();
            let mut held = Held::new();
            // number → (priority, picks before it came, older ones that waited then)
            let mut unsent: BTreeMap<u64, (usize, u64, u64)> = BTreeMap::new();
            let mut flying: Vec<u64> = Vec::new();
            let (mut newest, mut picks) = (0, 0);
            for (step, priority, many) in steps {
                match step {
                    0 | 1 => for _ in 0..many {
                        newest += 1;
                        unsent.insert(newest, (priority, picks, unsent.len() as u64));
                        held.insert((priority, newest));
                    },
                    2 => for _ in 0..many.min(flying.len()) {
                        let seq = flying.remove(0);
                        prop_assert!(sending.done(seq).is_some());
                        held.retain(|(_, known)| *known != seq);
                    },
                    _ => {
                        let lists = waiting(&held, sending.after(), many);
                        for seq in sending.pick(&lists, many, Elapsed::default()) {
                            picks += 1;
                            let (priority, _, _) = unsent.remove(&seq).expect("sent twice");
                            prop_assert!(unsent.iter().all(|(other, (p, _, _))| *p != priority || *other > seq));
                            if picks % OLDEST_EVERY != 0 {
                                let higher = unsent.values().any(|(p, _, _)| *p > priority);
                                prop_assert!(!higher, "one of higher priority waits");
                            }
                            flying.push(seq);
                        }
                    }
                }
                prop_assert!(flying.len() <= WINDOW);
                for (since, older) in unsent.values().map(|(_, since, older)| (since, older)) {
                    prop_assert!(picks - since <= OLDEST_EVERY * (older + 1), "starved");
                }
            }
        }
    }
}
