//! Why the store could not do something.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why the store could not do something. Cheap to clone: all callers of one failed commit get the same.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The database or its directory cannot be opened or made.
    #[error("store {path} cannot be opened")]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Written by a newer release. Nothing was touched.
    #[error(
        "store {path} has schema {found} and this release knows {known}: run the newer release, or move the file away"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// The disk is full. Nothing acknowledged is lost; the same call works again when there is room.
    #[error("store cannot {what}: no space left on its disk")]
    Full {
        /// What was tried.
        what: &'static str,
    },
    /// The file is damaged. The next start sets it aside.
    #[error("store cannot {what}: the database is damaged")]
    Damaged {
        /// What was tried.
        what: &'static str,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// SQLite failed in another way.
    #[error("store cannot {what}")]
    Sql {
        /// What was tried.
        what: &'static str,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// A value that cannot be kept: sealing or encoding it failed.
    #[error("store cannot keep {what}: {reason}")]
    Value {
        /// What it was.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// A stream of the journal is full, and its policy is that this entry is not taken. Counted, not kept.
    #[error("stream {stream} is full ({max_bytes} bytes): the entry was not taken")]
    StreamFull {
        /// The stream.
        stream: &'static str,
        /// Its cap.
        max_bytes: u64,
    },
    /// An entry that alone is larger than its stream may be. Counted, not kept.
    #[error("an entry of {bytes} bytes is too large for stream {stream} ({max_bytes} bytes)")]
    TooLarge {
        /// The stream.
        stream: &'static str,
        /// Length of the entry's body.
        bytes: usize,
        /// The stream's cap.
        max_bytes: u64,
    },
    /// The store's file cannot be read without running the agent: it is of another release.
    #[error("store {path} has schema {found}, not {known}: start edgecore, which brings it up to date")]
    Older {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema known here.
        known: i64,
    },
    /// The writer thread is gone: the store is being closed.
    #[error("store is closed")]
    Closed,
}

impl StoreError {
    /// From SQLite's error while trying to do `what`.
    pub(crate) fn sql(what: &'static str, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { what },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { what, source: Arc::new(source) }
            }
            _ => Self::Sql { what, source: Arc::new(source) },
        }
    }
}

/// Turns SQLite's results into the store's.
pub(crate) trait Context<T> {
    /// Says what was being tried, in words that follow "store cannot".
    fn during(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> Context<T> for rusqlite::Result<T> {
    fn during(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::sql(what, source))
    }
}
