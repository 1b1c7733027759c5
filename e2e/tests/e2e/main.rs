//! Whole-system tests: a real control plane, real cloudcore, real edges with containerds of their own.
//!
//! All tests of this binary share one lab (`target/e2e/main`, or `SKERRY_E2E_DIR`), brought up by the first that
//! needs it, and run one after the other. Each uses a namespace of its own in the cluster and leaves links healed, power on,
//! cloudcore and edgecore running. A test that wants an edge for itself adds one and removes it.
//!
//! `SKERRY_E2E_CONTAINERD=2.2` runs all of it on the current containerd instead of Debian's, in `target/e2e/main-2.2`;
//! `SKERRY_SOAK=1` makes the long ones as long as they can be.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail a test")]
#![expect(clippy::panic, reason = "helpers of tests may fail a test")]

mod api_relay;
mod autonomy;
mod chaos;
mod damage;
mod delivery;
mod ephemeral;
mod equal;
mod fleet;
mod handmade;
mod hostile;
mod identity;
mod images;
mod kubectl;
mod leader;
mod ledger;
mod logs;
mod node_life;
mod operator;
mod outage;
mod pods;
mod power;
mod probes;
mod registry;
mod replicas;
mod runtime;
mod security;
mod server;
mod shaped;
mod sidecars;
mod streams;
mod top;
mod watching;
mod world;
