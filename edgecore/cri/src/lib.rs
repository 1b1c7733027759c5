//! The pod runtime over the Container Runtime Interface (CRI v1) on a unix socket: containerd 1.6 and newer.
//!
//! In come sandboxes and containers as [`edgecore_pods::runtime`] describes them, out go calls; the answers come back
//! as what was observed. [`connect`] gives two halves:
//! - [`Cri`] implements [`edgecore_pods::runtime::Runtime`]. Every call has a deadline of its own, and the long ones
//!   (a pull, a stop with its grace) also give up when the runtime is found silent, so that nothing hangs on it.
//! - [`Monitor`] is the one task: it asks for the runtime's status now and then ([`Health`]), and listens for ends of
//!   containers: CRI's event stream where the runtime has one, else containerd's own event service, else a comparison
//!   of lists. Both only hint ([`edgecore_pods::runtime::Runtime::changed`]); the look that follows decides.
//!
//! The channel connects when it is needed and again after the runtime restarted.
//!
//! Deliberately absent: what a pod is, when anything is restarted, and any state but the health. What the runtime
//! holds is asked for, never remembered.

mod config;
mod convert;
mod error;
mod events;
mod generated;
mod health;
mod io;
mod observe;
mod reference;
mod usage;

pub use config::{Config, Deadlines};
pub use error::ConnectError;
pub use health::{Answer, Health, RuntimeCondition};
pub use io::monitor::{Monitor, MonitorError};
pub use io::{Cri, connect};
