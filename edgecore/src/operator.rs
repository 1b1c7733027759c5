//! What whoever administers the node asks of the agent on it, with or without the cloud: `edgecore pods`, `edgecore logs`
//! and `edgecore exec`, in kubectl's words.
//!
//! [`client`] speaks to the local socket; [`resolve`] finds the pod and container that are meant, [`row`] says of a pod
//! what `kubectl get pods` would, [`lengths`] reads and shows times as kubectl does; [`exec`] runs a [`session`] of
//! [`spdy`] streams, with the [`terminal`] handed over.

pub(crate) mod client;
pub(crate) mod exec;
mod json;
mod lengths;
pub(crate) mod logs;
pub(crate) mod pods;
mod resolve;
mod row;
mod session;
mod spdy;
mod terminal;
