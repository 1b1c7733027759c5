//! What every long-running process of Skerry needs, on both sides.
//!
//! - [`Tasks`]: the only spawner. Every task has a name; one that ends unasked takes the process down with its error.
//! - [`Shutdown`]: asked for once, seen by everybody.
//! - [`Clock`]: the only reader of time. Monotonic time counts elapsed time, wall time may be wrong and is
//!   corrected from what the cloud says; tests hold a clock they move by hand.
//! - [`Backoff`]: jittered and capped, randomness passed in.
//! - [`config`]: YAML, then environment, then flags; unknown keys are errors, and all problems come at once.
//! - [`sim`], [`faults`]: where a simulation takes the machine's place; nothing in shipped builds.
//! - [`telemetry`], [`admin`]: logs and the endpoint for `/livez`, `/readyz`, `/metrics`.
//!
//! Deliberately absent: anything that knows what Skerry does.

pub mod admin;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod errors;
pub mod faults;
pub mod files;
pub mod random;
pub mod ready;
pub mod secret;
pub mod shutdown;
pub mod sim;
pub mod tasks;
pub mod telemetry;

pub use backoff::Backoff;
pub use clock::{Clock, Elapsed, WallTime};
pub use ready::Readiness;
pub use secret::Masked;
pub use shutdown::Shutdown;
pub use tasks::Tasks;
