//! The cluster's API, and the endpoint.

mod api;
mod ca;
mod identities;
mod join;
mod server;
mod sweep;

pub use api::Api;
pub use ca::{authority, create_token};
pub use identities::{Denied, Identities, identity_watch};
pub use join::Join;
pub use server::{JoinServer, ServeError};
pub use sweep::{Swept, sweep};
