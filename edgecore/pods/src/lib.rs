//! Pod life, without knowing which runtime runs it.
//!
//! In: the pods of the store ([`desired`]), what the runtime holds ([`observed`]), what was ([`history`], persistent)
//! and what this process knows ([`memory`]). Pure in the middle: a pod is looked back on ([`history`], [`judge`]),
//! planned ([`plan`], with [`policy`], [`restart`], [`admit`]) and told of ([`status`], [`event`]). Out ([`io`]): one worker per
//! pod takes the planned steps through the port [`runtime`]; reports, events and memory go into the store.
//!
//! What holds:
//! - A pod is its UID. A successor of the same name waits until nothing of the older one is left.
//! - What could not be looked at is unknown, never gone: nothing is planned from a look that failed.
//! - Nothing found running is stopped before the store was whole once; what runs is adopted by UID.
//! - What is reported was written down before: restart counts never go back, and what is over never runs again.
//! - A restart of this process touches no container and reports nothing anew. Idle, nothing is written.
//! - The behaviour, the reasons and the words are those of upstream's kubelet; [`spec`] refuses by name what is not
//!   honoured. Like upstream, a container with pull policy `Always` does not start while its registry is away.
//!
//! Absent: the link, the API server, CRI. Who wants to run pods elsewhere implements [`runtime::Runtime`].

pub mod runtime;
pub mod spec;

pub mod action;
pub mod admit;
pub mod desired;
pub mod ephemeral;
pub mod event;
pub mod handle;
pub mod handler;
pub mod history;
pub mod image;
pub mod io;
pub mod judge;
pub mod memory;
pub mod observed;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod probe_counts;
pub mod qos;
pub mod restart;
pub mod rotation;
pub mod status;
pub mod termination;

#[cfg(any(test, feature = "testing"))]
pub mod fake;
#[cfg(test)]
mod tests;
