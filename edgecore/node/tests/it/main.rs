//! The node's task with a real store and this machine's facts.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod report;
