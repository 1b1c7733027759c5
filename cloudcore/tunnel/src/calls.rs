//! How many calls run at once, by node and by caller. Pure.

use std::collections::BTreeMap;

/// Calls of one node; an edge takes as many streams, and a few are kept for cloudcore itself.
pub(crate) const OF_NODE: usize = 250;
/// Calls of one caller at one node. The API server is one caller, whoever asks it.
pub(crate) const OF_CALLER: usize = 200;

/// Which limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The node has enough to do.
    Node,
    /// The caller has enough.
    Caller,
}

/// Calls under way at one node.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: usize,
    by_caller: BTreeMap<String, usize>,
}

impl Calls {
    /// Counts a call, where it may run.
    pub(crate) fn begin(&mut self, caller: &str) -> Result<(), Full> {
        if self.all >= OF_NODE {
            return Err(Full::Node);
        }
        let own = self.by_caller.entry(caller.to_owned()).or_default();
        if *own >= OF_CALLER {
            return Err(Full::Caller);
        }
        *own += 1;
        self.all += 1;
        Ok(())
    }

    /// A call that began is over.
    pub(crate) fn end(&mut self, caller: &str) {
        self.all = self.all.saturating_sub(1);
        if let Some(own) = self.by_caller.get_mut(caller) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_caller.remove(caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_room_for_others() {
        let mut calls = Calls::default();
        for _ in 0..OF_CALLER {
            calls.begin("a").unwrap();
        }
        assert_eq!(calls.begin("a"), Err(Full::Caller));
        for _ in OF_CALLER..OF_NODE {
            calls.begin("b").unwrap();
        }
        assert_eq!(calls.begin("c"), Err(Full::Node));
        calls.end("b");
        calls.begin("c").unwrap();
        for _ in 0..OF_CALLER {
            calls.end("a");
        }
        calls.begin("a").unwrap();
        assert_eq!(calls.by_caller.get("a"), Some(&1));
    }
}
