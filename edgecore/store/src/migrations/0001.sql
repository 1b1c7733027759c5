-- Who the store is and what it knows of the cluster: one row per fact.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What the cloud wants. `version` counts in the digest; where it was rejected, `body` may be of an earlier version.
CREATE TABLE objects (
    id           INTEGER PRIMARY KEY,            -- grows: the newest UID of a name has the highest
    kind         TEXT    NOT NULL,
    uid          TEXT    NOT NULL,
    namespace    TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    state        INTEGER NOT NULL,               -- 0 wanted (counted), 1 deleting pod, 2 kept for a pod that names it
    version      BLOB    NOT NULL,
    rejected     TEXT,                           -- why `version` could not be applied
    body_version BLOB,
    body         BLOB,
    key_id       INTEGER,                        -- key that `body` is sealed under; none: it is plain
    UNIQUE (kind, uid)
) STRICT;
CREATE INDEX objects_by_name ON objects (kind, namespace, name);

-- The pod engine's own memory.
CREATE TABLE pod_states (
    uid   TEXT PRIMARY KEY,
    state BLOB NOT NULL
) STRICT;

-- Last value per object, kept after the cloud took it, because it may ask again.
CREATE TABLE reports (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT    NOT NULL,
    uid       TEXT    NOT NULL,
    namespace TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    hash      BLOB    NOT NULL,
    pending   INTEGER NOT NULL,
    refused   TEXT,                              -- why the cloud will not take it
    body      BLOB    NOT NULL,
    UNIQUE (kind, uid)
) STRICT;
CREATE INDEX reports_pending ON reports (id) WHERE pending = 1;

-- Service-account tokens, wanted and (where `token` is there) issued.
CREATE TABLE tokens (
    id                 INTEGER PRIMARY KEY,
    pod_uid            TEXT    NOT NULL,
    namespace          TEXT    NOT NULL,
    pod_name           TEXT    NOT NULL,
    service_account    TEXT    NOT NULL,
    audiences          TEXT    NOT NULL,         -- JSON list
    expiration_seconds INTEGER NOT NULL,
    token              BLOB,
    key_id             INTEGER,
    boot_id            TEXT,                     -- when it arrived: boot, time since it, wall time, whether confirmed
    elapsed_ms         INTEGER,
    wall_ms            INTEGER,
    trusted            INTEGER,
    expires_ms         INTEGER,
    life_ms            INTEGER,
    UNIQUE (pod_uid, service_account, audiences, expiration_seconds)
) STRICT;

-- Messages: on disk until the cloud has them.
CREATE TABLE journal (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    stream           TEXT    NOT NULL,
    priority         INTEGER NOT NULL,
    boot_id          TEXT    NOT NULL,
    elapsed_ms       INTEGER NOT NULL,
    wall_ms          INTEGER NOT NULL,
    trusted          INTEGER NOT NULL,
    expires_after_ms INTEGER,
    body             BLOB    NOT NULL
) STRICT;
CREATE INDEX journal_by_stream ON journal (stream, seq);

-- What became of everything taken in, and the bytes each stream holds.
CREATE TABLE ledger (
    stream TEXT    NOT NULL,
    state  TEXT    NOT NULL,                     -- produced, delivered, superseded, expired, dropped
    reason TEXT    NOT NULL,                     -- of dropped; else empty
    n      INTEGER NOT NULL,
    PRIMARY KEY (stream, state, reason)
) STRICT, WITHOUT ROWID;
