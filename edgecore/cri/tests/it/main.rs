//! The client against a real containerd, started by each test in namespaces of its own: nothing outside is touched,
//! and all of it ends with the test.
//!
//! Needs root, and containerd, runc, the CNI plugins, busybox-static and iptables of Debian. The variable
//! `SKERRY_TEST_CONTAINERD` names another containerd than the one in the path.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test helpers")]

mod daemon;
mod life;
mod network;
mod trouble;
mod usage;
