//! A look into the store of an agent that does not run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use wire::Digest;

use crate::error::{Context, StoreError};
use crate::limits::Limits;
use crate::open::FILE;
use crate::types::{LedgerRow, Refusal};
use crate::{ledger, meta, refusals, schema};

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// Its id, which names its accounts.
    pub store_id: String,
    /// Digest of the objects held.
    pub digest: Digest,
    /// Number of them.
    pub count: u32,
    /// The accounts.
    pub ledger: Vec<LedgerRow>,
    /// The latest refusals, newest first.
    pub refusals: Vec<Refusal>,
}

/// Reads the store in `dir`.
pub(crate) fn peek(dir: &Path, limits: &Limits) -> Result<Peek, StoreError> {
    let path = dir.join(FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&path, flags)
        .map_err(|source| StoreError::Open { path: path.clone(), source: Arc::new(source) })?;
    conn.busy_timeout(Duration::from_secs(5)).during("open a reader")?;
    let found = schema::version(&conn)?;
    if found > schema::NEWEST {
        return Err(StoreError::Newer { path, found, known: schema::NEWEST });
    }
    if found < schema::NEWEST {
        return Err(StoreError::Older { path, found, known: schema::NEWEST });
    }
    // One snapshot for all of it.
    let snapshot = conn.unchecked_transaction().during("read")?;
    let state = meta::load(&snapshot)?;
    Ok(Peek {
        store_id: state.meta.store_id,
        digest: state.digest,
        count: state.count,
        ledger: ledger::rows(&snapshot, limits)?,
        refusals: refusals::list(&snapshot)?,
    })
}
