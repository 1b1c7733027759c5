//! What follows from objects of the cluster for other objects of it. Nothing here touches the hub.
//!
//! In: pods, Nodes and Namespaces as watches show them ([`Controllers::pods`] and its like), which sessions are open here
//! ([`Controllers::opened`], [`Controllers::closed`]), and whether this replica leads. Out: patches.
//!
//! - [`policy`] (pure): how long pods of an edge stay on it while it is away, by the annotation `skerry.io/autonomy` on
//!   pod, Namespace or Node.
//! - `tolerations` (pure): what that makes of a pod's default tolerations. Written by the leader alone.
//! - `connected` (pure): the Node's condition `skerry.io/Connected`. Written by the replica that has, or had, the
//!   session, and by the leader where that one died; never by one that knows less than the Node's Lease.
//! - `endpoint` (pure): the Node's address and port, which name the replica that serves its kubelet's API. Written by
//!   the replica that has the session, and by the leader while nobody has one.
//! - `seen`: what is kept of the objects, and which of them are to be looked at; `queue` (pure): when.
//!
//! Every patch carries UID and resourceVersion of what it was planned on. Deliberately absent: sessions, desired sets,
//! and any state that outlives the process.

mod complaint;
mod connected;
mod endpoint;
mod io;
mod metrics;
pub mod policy;
mod queue;
mod seen;
mod tolerations;

pub use endpoint::{Endpoint, Endpoints, Place};
pub use io::{Controllers, NAMESPACE_SOURCE};
