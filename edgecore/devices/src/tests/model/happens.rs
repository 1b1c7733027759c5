//! What can happen to a twin.

use std::time::Duration;

use proptest::prelude::*;

use crate::settings::{Deadband, Settings};
use crate::tests::kit::{self, property};
use crate::value::Definition;

#[derive(Debug, Clone)]
pub(super) enum Happens {
    /// Time passes; nobody wakes the twin meanwhile.
    Oversleep {
        ms: u64,
    },
    /// Time passes; the twin is woken whenever it asked for that.
    Pass {
        ms: u64,
    },
    /// A desired value of a version so far from the highest one.
    Desire {
        ahead: i64,
        what: Wish,
    },
    /// A new command (`back` 0), or the one so far back again.
    Command {
        back: usize,
        ttl: i64,
        valid: bool,
    },
    /// A sample; a value beyond [`MOST`] is too high by itself.
    Read {
        value: i64,
        how: How,
    },
    /// What the device has is read.
    ReadDevice,
    /// The driver answers to what is under way, or to what was before.
    Answer {
        late: bool,
        answer: Says,
    },
    DriverUp,
    DriverDown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Value,
    Invalid,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Good,
    Uncertain,
    Bad,
    NotANumber,
    /// Out of the model's range.
    TooHigh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    Done,
    Refused,
    Unreachable,
    /// Silence, though it was done or not.
    Unanswered {
        done: bool,
    },
}

/// Values beyond this are out of the model's range.
pub(super) const MOST: i64 = 10_000_000;

pub(super) fn happens() -> impl Strategy<Value = Happens> {
    let wish = prop_oneof![6 => Just(Wish::Value), 1 => Just(Wish::Invalid), 1 => Just(Wish::Nothing)];
    let how = prop_oneof![
        6 => Just(How::Good),
        1 => Just(How::Uncertain),
        1 => Just(How::Bad),
        1 => Just(How::NotANumber),
    ];
    let says = prop_oneof![
        4 => Just(Says::Done),
        1 => Just(Says::Refused),
        2 => Just(Says::Unreachable),
        2 => any::<bool>().prop_map(|done| Says::Unanswered { done }),
    ];
    let value = prop_oneof![20 => -12_i64..12, 1 => Just(MOST + 1)];
    let back = prop_oneof![3 => Just(0_usize), 1 => 1_usize..50];
    prop_oneof![
        1 => (0_u64..30_000).prop_map(|ms| Happens::Oversleep { ms }),
        4 => (0_u64..4_000).prop_map(|ms| Happens::Pass { ms }),
        3 => (-3_i64..4, wish).prop_map(|(ahead, what)| Happens::Desire { ahead, what }),
        4 => (back, -100_i64..15_000, prop::bool::weighted(0.9))
            .prop_map(|(back, ttl, valid)| Happens::Command { back, ttl, valid }),
        8 => (value, how).prop_map(|(value, how)| Happens::Read { value, how }),
        1 => Just(Happens::ReadDevice),
        5 => (prop::bool::weighted(0.1), says).prop_map(|(late, answer)| Happens::Answer { late, answer }),
        2 => Just(Happens::DriverUp),
        1 => Just(Happens::DriverDown),
    ]
}

/// Every change at once, and nothing grows stale.
pub(super) fn plain() -> Settings {
    Settings {
        definition: Definition::of(&property("INT", "", &MOST.to_string())).unwrap(),
        ..kit::settings("INT")
    }
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let band = prop_oneof![
        2 => (0_i64..5).prop_map(|band| Deadband::Absolute(band.into())),
        1 => (0_i64..60).prop_map(|band| Deadband::Percent(band.into())),
    ];
    let interval = prop::sample::select(vec![0_u64, 1, 1000, 5000]);
    let stale = prop::option::of(prop::sample::select(vec![1_u64, 5000, 20_000]));
    (band, interval, stale).prop_map(|(deadband, interval, stale)| Settings {
        deadband,
        min_interval: Duration::from_millis(interval),
        stale_after: stale.map(Duration::from_millis),
        ..plain()
    })
}
