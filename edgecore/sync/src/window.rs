//! What was sent and is not acknowledged yet: a bounded window over rows with growing ids.

use std::collections::BTreeMap;

use kit::Elapsed;

/// Rows in flight; one per session and kind of row.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    after: u64,
    /// By id, with what the row is about, and when it was sent.
    flying: BTreeMap<u64, (String, Elapsed)>,
}

impl Window {
    /// Nothing sent; at most so many rows in flight.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, after: 0, flying: BTreeMap::new() }
    }

    /// Rows with higher ids were not sent in this session.
    pub(crate) const fn after(&self) -> u64 {
        self.after
    }

    /// How many more may be sent.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.flying.len())
    }

    /// Takes a row up for sending; `false` where it is in flight already. What was in flight about the same thing is
    /// superseded, and nobody waits for its acknowledgement any more; an empty `about` supersedes nothing.
    pub(crate) fn take(&mut self, id: u64, about: &str, now: Elapsed) -> bool {
        self.after = self.after.max(id);
        if self.flying.contains_key(&id) {
            return false;
        }
        if !about.is_empty() {
            self.flying.retain(|_, (known, _)| known != about);
        }
        self.flying.insert(id, (about.to_owned(), now));
        true
    }

    /// The row arrived, was refused, or was never sent; answers when it was taken up.
    pub(crate) fn done(&mut self, id: u64) -> Option<Elapsed> {
        self.flying.remove(&id).map(|(_, since)| since)
    }

    /// Rows behind the cursor are wanted again; what is in flight is not sent twice.
    pub(crate) const fn rewind(&mut self) {
        self.after = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_later_row_about_the_same_frees_the_place_of_the_earlier() {
        let mut window = Window::new(2);
        let now = Elapsed::default();
        assert!(window.take(1, "Pod/a", now) && window.take(2, "Pod/b", now) && window.room() == 0);
        assert!(window.take(3, "Pod/a", now));
        assert_eq!(window.room(), 0);
        window.done(1);
        assert_eq!(window.room(), 0);
        window.done(3);
        assert_eq!((window.room(), window.take(2, "Pod/b", now)), (1, false));
    }

    proptest! {
        /// A sender that always offers the oldest pending rows behind the cursor sends all, each once until it is done.
        #[test]
        fn everything_pending_is_sent_and_never_more_than_the_window(
            limit in 1_usize..5,
            steps in proptest::collection::vec((0_u8..4, 0_u64..20), 1..80),
        ) {
            let mut window = Window::new(limit);
            let mut pending: BTreeSet<u64> = BTreeSet::new();
            let mut flying: BTreeSet<u64> = BTreeSet::new();
            let mut newest = 0;
            for (step, pick) in steps {
                match step {
                    0 | 1 => {
                        newest += 1;
                        pending.insert(newest);
                    }
                    2 => {
                        if let Some(id) = flying.iter().nth(usize::try_from(pick).unwrap()).copied() {
                            window.done(id);
                            flying.remove(&id);
                            pending.remove(&id);
                        }
                    }
                    _ => {
                        // Asked for again: some row that was done is pending once more.
                        if pick > 0 && pick <= newest {
                            pending.insert(pick);
                            window.rewind();
                        }
                    }
                }
                // As the uplink does after every event.
                while window.room() > 0 {
                    let Some(id) = pending.iter().copied().find(|id| *id > window.after()) else { break };
                    if window.take(id, "", Elapsed::default()) {
                        prop_assert!(flying.insert(id), "sent twice");
                    }
                }
                prop_assert!(flying.len() <= limit);
                // Nothing is left behind: what is pending flies, or the window is full.
                prop_assert!(window.room() == 0 || pending.is_subset(&flying));
            }
        }
    }
}
