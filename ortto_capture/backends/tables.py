"""The tables of a store.

The law of this file: they are the store's own affair, and every change of them raises
``store_file.FORMAT``. What other programs may read are the views.
"""

#: Numbers stand for ids in the journal, whose two indexes are short that way and answer every
#: question about an activity or a person without the rows. Times are milliseconds since the epoch.
#: No number or position of a removed row is given again.
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', lower(hex(randomblob(6)))), ('erased', 0), ('scrub', 0);
CREATE TABLE people (id TEXT PRIMARY KEY, identifiers TEXT, first TEXT, last TEXT,
    verified INTEGER, created_at INTEGER, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE identifiers (value TEXT, kind TEXT, person TEXT, PRIMARY KEY (value, kind))
    WITHOUT ROWID;
CREATE TABLE activity_ids (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
CREATE TABLE person_ids (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
CREATE TABLE journal (position INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT, activity INTEGER,
    person INTEGER, attributes TEXT, source TEXT, verified INTEGER, occurred_at INTEGER,
    received_at INTEGER, gpc INTEGER, checksum INTEGER);
CREATE INDEX journal_activity ON journal (activity, occurred_at, person);
-- With the event id, by which a repetition is found however far the host dates it back.
CREATE INDEX journal_person ON journal (person, activity, event_id, occurred_at);
-- The CHECK undoes a statement as a whole: of two charges both are counted, or neither.
CREATE TABLE counts (seconds INTEGER, slot INTEGER, key BLOB, amount INTEGER, count INTEGER,
    CHECK (count <= amount), PRIMARY KEY (seconds, slot, key)) WITHOUT ROWID;
CREATE TABLE outcomes (code TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;
-- The latest requests, refused and passed ones: a few hundred of each.
CREATE TABLE latest (number INTEGER PRIMARY KEY AUTOINCREMENT, refused INTEGER, person_id TEXT,
    outcome TEXT);
CREATE INDEX latest_refused ON latest (refused, number);
CREATE TABLE tally (hour INTEGER, activity_id TEXT, reason TEXT, count INTEGER,
    PRIMARY KEY (hour, activity_id, reason)) WITHOUT ROWID;
CREATE TABLE documents (version INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, name TEXT, value TEXT,
    UNIQUE (kind, name));
CREATE TABLE erased (tombstone TEXT PRIMARY KEY) WITHOUT ROWID;
"""
