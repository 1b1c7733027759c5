//! What travels between cloudcore and edgecore: pure data, no IO.
//!
//! Down flows *state*: versioned objects ([`Upsert`], [`Delete`], [`SyncPoint`]), compared by digest and, where
//! digests differ, by inventory. Up flow *reports* (last value wins per key, [`Report`]) and the *journal*
//! ([`Entry`], at least once, with ids). *Calls* are the one exception from level-triggering: the edge asks, the
//! cloud answers, with a deadline.
//!
//! Evolution: messages are protocol buffers, so a field or a frame kind that a peer does not know is skipped, and
//! either side can be one release ahead. `Hello` and `Welcome` agree on the protocol version and on features; a
//! number once used for a field is never used for another. `tests/it/golden.rs` holds the bytes of every message
//! shipped.
//!
//! Deliberately absent: sockets, clocks, TLS (`link`), and any knowledge of what a body means.

mod body;
mod codec;
mod dictionary;
mod digest;
mod down;
mod frame;
mod hello;
mod ids;
mod inventory;
pub mod owned;
mod short;
mod up;

pub use body::{Body, BodyError, CanonicalError, Encoding, MAX_BODY, canonical};
pub use codec::{DecodeError, MAX_FRAME, decode_down, decode_up, encode};
pub use digest::{Digest, Version};
pub use down::{
    CallReply, Delete, EntryAck, GoAway, HeartbeatAck, InSync, ReportAck, ReportRefused, SyncPoint, Upsert,
    WantInventory, WantReports, call_reply,
};
pub use frame::{DownFrame, UpFrame, down_frame, up_frame};
pub use hello::{
    FEATURE_COMPACT, FEATURE_DICTIONARY, FEATURES, Hello, KindVersion, PROJECTION_VERSION, PROTOCOL_MAX,
    PROTOCOL_MIN, Refused, RefusedCode, Welcome, agree,
};
pub use ids::{KINDS, Kind, ObjectKey, Uid};
pub use inventory::{Buckets, Inventory, InventoryGroup, InventoryItem, MAX_BUCKETS, Picked, Uneven};
pub use short::Unfit;
pub use up::{
    Ack, Call, Entry, Heartbeat, Mismatch, Rejected, Report, ReportInventory, ReportItem, TokenRequest, call,
};
