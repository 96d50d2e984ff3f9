"""The tables, as migrations: number N brings a file of version N (PRAGMA user_version) to N + 1.

A migration that has been released is never edited; a change is a new one at the end. Times are unix seconds.
"""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE device (
        id          TEXT PRIMARY KEY,
        name        TEXT NOT NULL,
        public_key  BLOB NOT NULL UNIQUE,   -- Ed25519, 32 octets
        channel     TEXT NOT NULL,          -- what it is to play; empty: nothing
        delay_ms    INTEGER NOT NULL,
        trim_ms     INTEGER NOT NULL,
        volume_db   REAL NOT NULL,
        muted       INTEGER NOT NULL,
        enrolled    REAL NOT NULL,
        revoked     REAL,                   -- when; NULL while it may connect
        seen        REAL                    -- when a message last came, to a minute
    ) STRICT;
    CREATE TABLE code (
        hash        BLOB PRIMARY KEY,       -- SHA-256; the code itself is kept nowhere
        name        TEXT NOT NULL,
        channel     TEXT NOT NULL,
        created     REAL NOT NULL,
        created_by  TEXT NOT NULL,
        expires     REAL NOT NULL,
        device      TEXT REFERENCES device (id)   -- who used it; NULL while it is good
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE receipt (
        device        TEXT NOT NULL REFERENCES device (id),
        id            TEXT NOT NULL,        -- the device's own, the same when it sends a receipt again
        programme     TEXT NOT NULL,
        channel       TEXT NOT NULL,
        started       REAL NOT NULL,
        ended         REAL NOT NULL,
        played_ratio  REAL NOT NULL,
        concealed_ms  REAL NOT NULL,
        level_dbfs    REAL,
        outcome       TEXT NOT NULL,
        received      REAL NOT NULL,
        PRIMARY KEY (device, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX receipt_of_device ON receipt (device, started);
    CREATE INDEX receipt_by_age ON receipt (received);
    """,
    """
    CREATE TABLE channel_class (
        channel      TEXT PRIMARY KEY,
        class        TEXT NOT NULL,
        until        REAL NOT NULL,
        declared     REAL NOT NULL,
        declared_by  TEXT NOT NULL         -- the token's subject
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE automation (
        channel   TEXT PRIMARY KEY,
        stopped   INTEGER NOT NULL,
        pinned    TEXT,                    -- the source an operator has chosen
        inputs    TEXT NOT NULL            -- what operators set of inputs, JSON by their name
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE queue_item (
        channel     TEXT NOT NULL,
        place       INTEGER NOT NULL,      -- 0 is the one that is played
        id          TEXT NOT NULL,
        source      TEXT NOT NULL,
        title       TEXT NOT NULL,
        gain_db     REAL NOT NULL,
        added       REAL NOT NULL,
        added_by    TEXT NOT NULL,         -- the token's subject
        position_s  REAL NOT NULL,
        PRIMARY KEY (channel, place)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE queue_item ADD COLUMN chime INTEGER NOT NULL DEFAULT 0;   -- whether the chime comes before it
    """,
    """
    CREATE TABLE meeting (
        channel   TEXT PRIMARY KEY,
        phase     TEXT NOT NULL CHECK (phase IN ('closed', 'open', 'ended')),
        reason    TEXT NOT NULL,
        ends      REAL NOT NULL,           -- by itself; 0 while it is not open
        written   REAL NOT NULL,
        number    INTEGER NOT NULL         -- of the participant who came last
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE meeting_person (
        channel   TEXT NOT NULL,
        place     INTEGER NOT NULL,        -- in the order they came
        id        TEXT NOT NULL,
        digest    BLOB NOT NULL,           -- SHA-256 of his secret, which is kept nowhere; empty: he has none
        role      TEXT NOT NULL CHECK (role IN ('chair', 'speaker')),
        name      TEXT NOT NULL,
        token     TEXT NOT NULL,           -- the id of the token he came with
        bare      INTEGER NOT NULL,        -- whether he came without a page
        admitted  INTEGER NOT NULL,
        removed   INTEGER NOT NULL,
        muted     INTEGER NOT NULL,        -- by himself
        silenced  INTEGER NOT NULL,        -- by a chair
        hand      INTEGER NOT NULL,        -- its place among those raised, from 1; 0: not raised
        PRIMARY KEY (channel, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE meeting_watched (
        channel   TEXT NOT NULL,
        token     TEXT NOT NULL,           -- the id of one with which somebody came who was removed
        PRIMARY KEY (channel, token)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE revocation (
        kind        TEXT NOT NULL CHECK (kind IN ('token', 'subject')),
        name        TEXT NOT NULL,         -- the token's id; the subject whose tokens minted until then are void
        subject     TEXT NOT NULL,         -- whose token it is; empty: only its id is known
        revoked     REAL NOT NULL,
        revoked_by  TEXT NOT NULL,         -- the token's subject
        until       REAL NOT NULL,         -- when nothing that it voids would be good any more
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
    """,
)
