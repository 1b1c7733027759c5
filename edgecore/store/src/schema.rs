//! Numbered migrations, all missing ones in one transaction.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Context, StoreError};

/// Migrations in order; the first makes schema 1. What is shipped is never changed, only added to.
const MIGRATIONS: [&str; 2] = [include_str!("migrations/0001.sql"), include_str!("migrations/0002.sql")];

/// The newest schema known here: the number of migrations.
pub(crate) const NEWEST: i64 = 2;

/// Every table there must be; a file without one of them is as good as damaged.
pub(crate) const TABLES: [&str; 8] =
    ["meta", "objects", "pod_states", "reports", "tokens", "journal", "ledger", "refusals"];

/// Brings the schema up to date; returns the schema found before.
pub(crate) fn migrate(conn: &mut Connection, path: &Path) -> Result<i64, StoreError> {
    let found = version(conn)?;
    if found > NEWEST {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: NEWEST });
    }
    let missing =
        usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..)).unwrap_or(&MIGRATIONS);
    if missing.is_empty() {
        return Ok(found);
    }
    let transaction =
        conn.transaction_with_behavior(TransactionBehavior::Immediate).during("begin a migration")?;
    for step in missing {
        transaction.execute_batch(step).during("migrate")?;
    }
    transaction.pragma_update(None, "user_version", NEWEST).during("migrate")?;
    transaction.commit().during("commit a migration")?;
    Ok(found)
}

/// The schema of a file.
pub(crate) fn version(conn: &Connection) -> Result<i64, StoreError> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).during("read its schema")
}
