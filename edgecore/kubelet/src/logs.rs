//! `GET /containerLogs/NAMESPACE/POD/CONTAINER`: the files that the container runtime wrote.
//!
//! [`options`] is what is wanted, [`line`] the format of the files, [`select`] what of it is sent; [`files`] reads through
//! a log and its rotated predecessors, and [`answer`] sends, to the container's end where the log is followed.

pub(crate) mod answer;
pub(crate) mod files;
pub(crate) mod growth;
pub(crate) mod line;
pub(crate) mod options;
pub(crate) mod select;
