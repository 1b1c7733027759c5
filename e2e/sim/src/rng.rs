//! The one source of chance: everything that a run leaves open is drawn from here, so a seed is a run.

use std::sync::{Arc, Mutex, PoisonError};

/// A generator (SplitMix64). Clones draw from the same sequence.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: Arc<Mutex<u64>>,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(seed ^ 0x5c3e_77f1_a94d_0b26)) }
    }

    /// 64 bits.
    pub(crate) fn next(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    pub(crate) fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// A number from `from` to `to`, both included.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True so many times in a thousand.
    pub(crate) fn per_mille(&self, times: u64) -> bool {
        self.below(1000) < times
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).unwrap_or(0))
    }

    /// A generator of its own, so that what draws from it does not shift what others draw.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.next())
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
    }
}
