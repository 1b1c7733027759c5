//! Opening: the states a database file may be found in, and what all callers share afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use kit::Clock;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, watch};
use wire::{KINDS, Kind};

use crate::error::{Context, StoreError};
use crate::limits::Limits;
use crate::meta::{self, State};
use crate::readers::Readers;
use crate::seal::Seal;
use crate::types::{Stamp, TokenKey};
use crate::writer::{self, Effects, Job, QUEUE, Topic, Work};
use crate::{objects, schema, tokens};

/// Name of the database in its directory.
pub(crate) const FILE: &str = "store.db";

/// Corrupt predecessors kept for whoever wants to look; older ones leave.
const KEPT_ASIDE: u32 = 3;

/// Tells about changes. The numbers only grow.
#[derive(Debug)]
pub(crate) struct Watches {
    kinds: BTreeMap<Kind, watch::Sender<u64>>,
    never: watch::Sender<u64>,
    pub(crate) reports: watch::Sender<u64>,
    pub(crate) tokens: watch::Sender<u64>,
    pub(crate) journal: watch::Sender<u64>,
}

impl Watches {
    fn new() -> Self {
        let counter = || watch::Sender::new(0);
        Self {
            kinds: KINDS.into_iter().map(|kind| (kind, counter())).collect(),
            never: counter(),
            reports: counter(),
            tokens: counter(),
            journal: counter(),
        }
    }

    pub(crate) fn kind(&self, kind: Kind) -> &watch::Sender<u64> {
        self.kinds.get(&kind).unwrap_or(&self.never)
    }

    fn tell(&self, effects: &Effects) {
        for topic in effects {
            let watch = match topic {
                Topic::Kind(kind) => self.kind(*kind),
                Topic::Reports => &self.reports,
                Topic::Tokens => &self.tokens,
                Topic::Journal => &self.journal,
            };
            watch.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

/// What callers and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    clock: Clock,
    pub(crate) boot_id: String,
    pub(crate) seal: Seal,
    pub(crate) limits: Limits,
    pub(crate) watches: Watches,
    state: Mutex<State>,
    damaged: watch::Sender<Option<StoreError>>,
    token_problems: Mutex<BTreeMap<TokenKey, String>>,
}

impl Shared {
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            boot_id: self.boot_id.clone(),
            elapsed: self.clock.elapsed(),
            wall: self.clock.wall(),
            trusted: self.clock.trusted(),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A commit is on the disk.
    pub(crate) fn publish(&self, state: State, effects: &Effects) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.watches.tell(effects);
    }

    /// Looks whether an error means that the file is damaged.
    pub(crate) fn note(&self, error: &StoreError) {
        if matches!(error, StoreError::Damaged { .. }) {
            self.damaged.send_if_modified(|known| {
                let first = known.is_none();
                if first {
                    *known = Some(error.clone());
                }
                first
            });
        }
    }

    pub(crate) async fn damaged(&self) -> StoreError {
        let mut damaged = self.damaged.subscribe();
        match damaged.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or(StoreError::Closed),
            Err(_) => StoreError::Closed,
        }
    }

    pub(crate) fn token_problems(&self) -> MutexGuard<'_, BTreeMap<TokenKey, String>> {
        self.token_problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers (or forgets) why there is no token, and tells where that changed.
    pub(crate) fn token_problem(&self, key: &TokenKey, reason: Option<String>) {
        let mut problems = self.token_problems();
        let changed = match reason {
            Some(reason) => {
                let same = problems.get(key) == Some(&reason);
                problems.insert(key.clone(), reason);
                !same
            }
            None => problems.remove(key).is_some(),
        };
        drop(problems);
        if changed {
            self.watches.tell(&Effects::from([Topic::Tokens]));
        }
    }
}

/// An open store: the shared part, the readers and the writer's queue.
#[derive(Debug)]
pub(crate) struct Inner {
    shared: Arc<Shared>,
    readers: Readers,
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

impl std::ops::Deref for Inner {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Inner {
    pub(crate) async fn write<T, F>(&self, run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.jobs {
            Some(jobs) => writer::call(jobs, run).await,
            None => Err(StoreError::Closed),
        }
    }

    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = self.readers.with(read);
        if let Err(error) = &result {
            self.shared.note(error);
        }
        result
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.readers.close();
        // The queue closes, the writer finishes what is in it, folds the log into the database and ends.
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

/// An opened store and how it was found.
pub(crate) struct Found {
    pub(crate) inner: Inner,
    pub(crate) fresh: bool,
    pub(crate) set_aside: Option<PathBuf>,
}

/// What the writer needs.
type Writing = (Connection, mpsc::Receiver<Box<dyn Job>>, Weak<Shared>);

/// Opens the database in `dir`, making or rebuilding it where needed.
pub(crate) fn open(dir: &Path, clock: Clock, boot_id: &str, limits: Limits) -> Result<Found, StoreError> {
    let (mut found, (conn, queue, shared)) = found(dir, clock, boot_id, limits)?;
    let writer = std::thread::Builder::new()
        .name("store".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || writer::run(conn, queue, &shared))
        .map_err(|error| cannot_open(&dir.join(FILE), error))?;
    found.inner.writer = Some(writer);
    Ok(found)
}

/// As [`open`], with the writer as a task for a simulation to run.
#[cfg(feature = "testing")]
pub(crate) fn open_simulated(
    dir: &Path,
    clock: Clock,
    boot_id: &str,
) -> Result<(Found, impl Future<Output = ()> + use<>), StoreError> {
    let (found, (conn, queue, shared)) = found(dir, clock, boot_id, Limits::default())?;
    Ok((found, writer::run_simulated(conn, queue, shared)))
}

/// An opened store that nobody writes yet.
fn found(dir: &Path, clock: Clock, boot_id: &str, limits: Limits) -> Result<(Found, Writing), StoreError> {
    std::fs::create_dir_all(dir).map_err(|error| cannot_open(dir, error))?;
    let seal = Seal::open(dir)?;
    let path = dir.join(FILE);
    let (conn, fresh, set_aside) = match prepare(&path, &seal) {
        Ok((conn, fresh)) => (conn, fresh, None),
        Err(StoreError::Damaged { source, .. }) => {
            let aside = move_aside(dir)?;
            tracing::error!(error = %source, aside = %aside.display(), "the store was damaged: set aside, starting empty");
            let (conn, fresh) = prepare(&path, &seal)?;
            (conn, fresh, Some(aside))
        }
        Err(error) => return Err(error),
    };
    let state = meta::load(&conn)?;
    clock.not_before(kit::WallTime(state.meta.last_trusted_ms));
    let shared = Arc::new(Shared {
        clock,
        boot_id: boot_id.to_owned(),
        seal,
        limits,
        watches: Watches::new(),
        state: Mutex::new(state),
        damaged: watch::Sender::new(None),
        token_problems: Mutex::default(),
    });
    let (jobs, queue) = mpsc::channel(QUEUE);
    let weak = Arc::downgrade(&shared);
    let inner = Inner { shared, readers: Readers::new(&path), jobs: Some(jobs), writer: None };
    Ok((Found { inner, fresh, set_aside }, (conn, queue, weak)))
}

/// The writer's connection to a checked and migrated database; and whether it was made just now.
fn prepare(path: &Path, seal: &Seal) -> Result<(Connection, bool), StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    conn.set_prepared_statement_cache_capacity(24);
    conn.busy_timeout(Duration::from_secs(5)).during("set its timeout")?;
    // Most commits change a few short rows here and there, and flash pays by the page: small ones are a third of the
    // bytes. Says nothing to a database that exists.
    conn.execute_batch("PRAGMA page_size = 1024").during("set its page size")?;
    // The first statement that reads the file: garbage shows here.
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).during("start its log")?;
    conn.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -512;
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;
         PRAGMA wal_autocheckpoint = 1000;
         PRAGMA journal_size_limit = 1048576;",
    )
    .during("set itself up")?;
    check(&conn)?;
    let found = schema::migrate(&mut conn, path)?;
    check_tables(&conn)?;
    let fresh = found == 0;
    settle(&mut conn, seal)?;
    if fresh && let Some(dir) = path.parent() {
        kit::files::sync_dir(dir).map_err(|error| cannot_open(path, error))?;
    }
    Ok((conn, fresh))
}

/// Looks through every page.
fn check(conn: &Connection) -> Result<(), StoreError> {
    let verdict: String =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).during("check the file")?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(verdict)) }
}

fn check_tables(conn: &Connection) -> Result<(), StoreError> {
    for table in schema::TABLES {
        let there: bool = conn
            .query_row(
                "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?1",
                [table],
                |row| row.get(0),
            )
            .during("check the file")?;
        if !there {
            return Err(damaged(format!("table {table} is missing")));
        }
    }
    Ok(())
}

fn damaged(verdict: String) -> StoreError {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    StoreError::Damaged {
        what: "check the file",
        source: Arc::new(rusqlite::Error::SqliteFailure(code, Some(verdict))),
    }
}

/// Puts right what may be wrong at a start: no id yet, rows sealed under a lost key, a digest that is not that of
/// the rows, tokens of pods that are gone. Writes nothing where nothing is wrong.
fn settle(conn: &mut Connection, seal: &Seal) -> Result<(), StoreError> {
    let before = meta::load(conn)?;
    let mut now = before.clone();
    if now.meta.store_id.is_empty() {
        now.meta.store_id = kit::random::uuid()
            .map_err(|error| StoreError::Value { what: "its id", reason: error.to_string() })?;
    }
    let transaction = conn.transaction().during("settle")?;
    let unreadable =
        objects::drop_unreadable(&transaction, seal)? + tokens::drop_unreadable(&transaction, seal)?;
    if unreadable > 0 {
        tracing::warn!(rows = unreadable, "rows sealed under a lost key count as absent and come again");
    }
    tokens::drop_orphans(&transaction)?;
    (now.digest, now.count) = objects::sum(&transaction)?;
    if unreadable == 0 && (now.digest, now.count) != (before.digest, before.count) {
        tracing::error!("the digest was not that of the rows: corrected");
    }
    meta::save(&transaction, &before, &now)?;
    transaction.commit().during("settle")
}

/// Renames the database and its companions to the first free number, and lets the oldest beyond the limit go.
fn move_aside(dir: &Path) -> Result<PathBuf, StoreError> {
    let name = |n: u32| dir.join(format!("{FILE}.corrupt-{n}"));
    let mut n = 1;
    while name(n).exists() {
        n += 1;
    }
    if n > KEPT_ASIDE {
        for i in 1..=KEPT_ASIDE {
            // Shift down: 1 leaves. Companions share their database's fate.
            for suffix in ["", "-wal", "-shm"] {
                let from = with_suffix(&name(i), suffix);
                let gone = if i == 1 {
                    std::fs::remove_file(&from)
                } else {
                    std::fs::rename(&from, with_suffix(&name(i - 1), suffix))
                };
                // Not every one has companions.
                drop(gone);
            }
        }
        n = KEPT_ASIDE;
    }
    let (path, aside) = (dir.join(FILE), name(n));
    // The companions first: a log left behind would be played into the new database.
    for suffix in ["-wal", "-shm"] {
        match std::fs::rename(with_suffix(&path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(cannot_open(&path, error));
            }
            _ => {}
        }
    }
    std::fs::rename(&path, &aside).map_err(|error| cannot_open(&path, error))?;
    kit::files::sync_dir(dir).map_err(|error| cannot_open(&path, error))?;
    Ok(aside)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Boot id of this machine.
pub(crate) fn machine_boot_id() -> Result<String, StoreError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let id = std::fs::read_to_string(path).map_err(|error| cannot_open(path, error))?;
    Ok(id.trim().to_owned())
}

fn cannot_open(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Open { path: path.to_owned(), source: Arc::new(source) }
}
