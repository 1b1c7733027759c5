-- Entries are found by stream and priority: what is sent or dropped next. (The sequence number ends every index.)
DROP INDEX journal_by_stream;
UPDATE journal SET priority = max(0, min(9, priority)) WHERE priority NOT BETWEEN 0 AND 9;
CREATE INDEX journal_by_priority ON journal (stream, priority);

-- And by when they are of no use any more: by time since boot within a boot, by wall time across boots.
CREATE INDEX journal_mortal ON journal (boot_id, elapsed_ms + expires_after_ms, wall_ms + expires_after_ms, trusted)
    WHERE expires_after_ms IS NOT NULL;

-- What streams hold is counted in the transaction that changes it, beside what became of the rest: states `queued`
-- (rows not delivered) and `bytes` (of bodies on the disk, with `reports` also of those delivered).
INSERT INTO ledger (stream, state, reason, n)
    SELECT stream, 'queued', '', count(*) FROM journal GROUP BY stream;
INSERT INTO ledger (stream, state, reason, n)
    SELECT stream, 'bytes', '', sum(length(body)) FROM journal GROUP BY stream;
INSERT INTO ledger (stream, state, reason, n)
    SELECT 'reports', 'queued', '', coalesce(sum(pending), 0) FROM reports;
INSERT INTO ledger (stream, state, reason, n)
    SELECT 'reports', 'bytes', '', coalesce(sum(length(body)), 0) FROM reports;

-- What the cloud refused for good, the latest few: for people.
CREATE TABLE refusals (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    stream  TEXT    NOT NULL,
    about   TEXT    NOT NULL,                    -- the object, or the entry's number
    reason  TEXT    NOT NULL,
    wall_ms INTEGER NOT NULL
) STRICT;
