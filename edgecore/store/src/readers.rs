//! A few read-only connections, each call on one of them, each seeing a snapshot.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use crate::error::{Context, StoreError};

/// Connections kept open between calls. More callers at once open more and close them again.
const KEPT: usize = 2;

/// The connections that are not in use.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default() }
    }

    /// Runs a read on a connection of its own.
    pub(crate) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => self.connect()?,
        };
        let result = read(&conn);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(conn);
        }
        result
    }

    /// Closes those that are idle, so that the writer, closing last, can fold the log into the database.
    pub(crate) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags).during("open a reader")?;
        conn.set_prepared_statement_cache_capacity(8);
        conn.busy_timeout(std::time::Duration::from_secs(5)).during("open a reader")?;
        conn.execute_batch("PRAGMA cache_size = -128; PRAGMA mmap_size = 0; PRAGMA query_only = 1;")
            .during("open a reader")?;
        Ok(conn)
    }
}
