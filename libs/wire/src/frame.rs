//! The two envelopes: everything the edge sends is an [`UpFrame`], everything the cloud sends a [`DownFrame`].
//!
//! A frame whose content this release does not know decodes with `content: None` and is skipped.

use crate::{down, hello, inventory, up};

/// From edge to cloud.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpFrame {
    /// What it is.
    #[prost(oneof = "up_frame::Content", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub content: Option<up_frame::Content>,
}

/// Contents of an [`UpFrame`].
pub mod up_frame {
    use super::{hello, inventory, up};

    /// What the frame is.
    #[derive(Clone, PartialEq, prost::Oneof)]
    #[allow(
        clippy::large_enum_variant,
        reason = "Hello comes once a session; boxing it would cost every reader"
    )]
    pub enum Content {
        /// First frame.
        #[prost(message, tag = "1")]
        Hello(hello::Hello),
        /// A beat.
        #[prost(message, tag = "2")]
        Heartbeat(up::Heartbeat),
        /// What the edge holds.
        #[prost(message, tag = "3")]
        Inventory(inventory::Inventory),
        /// What is on disk.
        #[prost(message, tag = "4")]
        Ack(up::Ack),
        /// Digests differ at a sync point.
        #[prost(message, tag = "5")]
        Mismatch(up::Mismatch),
        /// A report.
        #[prost(message, tag = "6")]
        Report(up::Report),
        /// Hashes of reports.
        #[prost(message, tag = "7")]
        ReportInventory(up::ReportInventory),
        /// A question.
        #[prost(message, tag = "8")]
        Call(up::Call),
        /// A journal entry.
        #[prost(message, tag = "9")]
        Entry(up::Entry),
    }
}

/// From cloud to edge.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DownFrame {
    /// What it is.
    #[prost(oneof = "down_frame::Content", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14")]
    pub content: Option<down_frame::Content>,
}

/// Contents of a [`DownFrame`].
pub mod down_frame {
    use super::{down, hello};

    /// What the frame is.
    #[derive(Clone, PartialEq, prost::Oneof)]
    #[allow(
        clippy::large_enum_variant,
        reason = "Welcome comes once a session; boxing it would cost every reader"
    )]
    pub enum Content {
        /// The session is open.
        #[prost(message, tag = "1")]
        Welcome(hello::Welcome),
        /// It is not.
        #[prost(message, tag = "2")]
        Refused(hello::Refused),
        /// Digests agree.
        #[prost(message, tag = "3")]
        InSync(down::InSync),
        /// Asks for the inventory.
        #[prost(message, tag = "4")]
        WantInventory(down::WantInventory),
        /// An object as it should be.
        #[prost(message, tag = "5")]
        Upsert(down::Upsert),
        /// An object that should go.
        #[prost(message, tag = "6")]
        Delete(down::Delete),
        /// A whole.
        #[prost(message, tag = "7")]
        SyncPoint(down::SyncPoint),
        /// Answer to a beat.
        #[prost(message, tag = "8")]
        HeartbeatAck(down::HeartbeatAck),
        /// Reports taken.
        #[prost(message, tag = "9")]
        ReportAck(down::ReportAck),
        /// A report refused.
        #[prost(message, tag = "10")]
        ReportRefused(down::ReportRefused),
        /// Reports wanted.
        #[prost(message, tag = "11")]
        WantReports(down::WantReports),
        /// Answer to a call.
        #[prost(message, tag = "12")]
        CallReply(down::CallReply),
        /// The session ends.
        #[prost(message, tag = "13")]
        GoAway(down::GoAway),
        /// Journal entries taken.
        #[prost(message, tag = "14")]
        EntryAck(down::EntryAck),
    }
}

macro_rules! contents {
    ($frame:ident, $module:ident: $($variant:ident($path:path)),+ $(,)?) => {
        $(
            impl From<$path> for $frame {
                fn from(content: $path) -> Self {
                    Self { content: Some($module::Content::$variant(content)) }
                }
            }
        )+
    };
}

contents!(UpFrame, up_frame:
    Hello(hello::Hello), Heartbeat(up::Heartbeat), Inventory(inventory::Inventory), Ack(up::Ack),
    Mismatch(up::Mismatch), Report(up::Report), ReportInventory(up::ReportInventory), Call(up::Call),
    Entry(up::Entry),
);

contents!(DownFrame, down_frame:
    Welcome(hello::Welcome), Refused(hello::Refused), InSync(down::InSync),
    WantInventory(down::WantInventory), Upsert(down::Upsert), Delete(down::Delete),
    SyncPoint(down::SyncPoint), HeartbeatAck(down::HeartbeatAck), ReportAck(down::ReportAck),
    ReportRefused(down::ReportRefused), WantReports(down::WantReports), CallReply(down::CallReply),
    GoAway(down::GoAway), EntryAck(down::EntryAck),
);
