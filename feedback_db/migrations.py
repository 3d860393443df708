"""The schema, as numbered changes that are only ever appended to. A change that has been released is never edited.

Constraints come first: what must not be is refused by the database itself, whatever the code above it does.
"""

import sqlite_utils
from sqlite_utils import Migrations

MIGRATIONS = Migrations("errata")


@MIGRATIONS()
def m001_people_and_conversations(db: sqlite_utils.Database) -> None:
    """People, their sign-in sessions, conversations, turns and ratings."""
    _run(
        db,
        """
        CREATE TABLE people (
            id            TEXT PRIMARY KEY,
            kind          TEXT NOT NULL CHECK (kind IN ('account', 'visitor', 'external')),
            name          TEXT NOT NULL,
            role          TEXT NOT NULL CHECK (role IN ('end_user', 'reviewer', 'admin')),
            password_hash TEXT,
            created_at    TEXT NOT NULL,
            disabled_at   TEXT,
            erased_at     TEXT,
            CHECK (kind = 'account' OR (role = 'end_user' AND password_hash IS NULL)),
            CHECK (kind <> 'account' OR erased_at IS NOT NULL OR (password_hash IS NOT NULL AND name <> ''))
        ) STRICT
        """,
        "CREATE UNIQUE INDEX people_by_name ON people (kind, name COLLATE NOCASE) WHERE kind <> 'visitor' AND erased_at IS NULL",
        """
        CREATE TABLE conversations (
            id         TEXT PRIMARY KEY,
            person_id  TEXT NOT NULL REFERENCES people (id),
            channel    TEXT NOT NULL CHECK (channel IN ('web', 'api', 'terminal', 'demo')),
            title      TEXT NOT NULL,
            started_at TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX conversations_of_person ON conversations (person_id, started_at DESC)",
        """
        CREATE TABLE consents (
            id              INTEGER PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            given           INTEGER NOT NULL CHECK (given IN (0, 1)),
            wording         TEXT NOT NULL,
            recorded_at     TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX consents_of_conversation ON consents (conversation_id, id DESC)",
        """
        CREATE TABLE turns (
            id              TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            position        INTEGER NOT NULL CHECK (position >= 0),
            user_message    TEXT NOT NULL,
            reply           TEXT NOT NULL,
            state           TEXT NOT NULL CHECK (state IN ('complete', 'stopped', 'failed')),
            error           TEXT,
            version         INTEGER NOT NULL CHECK (version >= 0),
            sampling        TEXT NOT NULL CHECK (json_valid(sampling)),
            prompt_tokens   INTEGER NOT NULL CHECK (prompt_tokens >= 0),
            reply_tokens    INTEGER NOT NULL CHECK (reply_tokens >= 0),
            first_token_ms  INTEGER CHECK (first_token_ms >= 0),
            latency_ms      INTEGER NOT NULL CHECK (latency_ms >= 0),
            created_at      TEXT NOT NULL,
            UNIQUE (conversation_id, position),
            CHECK ((state = 'failed') = (error IS NOT NULL))
        ) STRICT
        """,
        """
        CREATE TABLE ratings (
            id           INTEGER PRIMARY KEY,
            turn_id      TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            person_id    TEXT NOT NULL REFERENCES people (id),
            is_good      INTEGER NOT NULL CHECK (is_good IN (0, 1)),
            reason       TEXT NOT NULL,
            comment      TEXT NOT NULL,
            created_at   TEXT NOT NULL,
            withdrawn_at TEXT
        ) STRICT
        """,
        "CREATE UNIQUE INDEX one_rating_a_person ON ratings (turn_id, person_id) WHERE withdrawn_at IS NULL",
    )


@MIGRATIONS()
def m002_corrections_and_reviews(db: sqlite_utils.Database) -> None:
    """Corrections, and reviews by somebody else."""
    _run(
        db,
        """
        CREATE TABLE corrections (
            id              TEXT PRIMARY KEY,
            turn_id         TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            author_id       TEXT NOT NULL REFERENCES people (id),
            corrected_reply TEXT NOT NULL CHECK (trim(corrected_reply) <> ''),
            state           TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'rejected')),
            created_at      TEXT NOT NULL,
            UNIQUE (id, author_id)
        ) STRICT
        """,
        "CREATE INDEX corrections_waiting ON corrections (created_at) WHERE state = 'pending'",
        "CREATE INDEX corrections_of_turn ON corrections (turn_id)",
        """
        CREATE TABLE reviews (
            id            INTEGER PRIMARY KEY,
            correction_id TEXT NOT NULL,
            author_id     TEXT NOT NULL,
            reviewer_id   TEXT NOT NULL REFERENCES people (id),
            decision      TEXT NOT NULL CHECK (decision IN ('approved', 'rejected')),
            final_reply   TEXT CHECK (trim(final_reply) <> ''),
            is_edit       INTEGER NOT NULL CHECK (is_edit IN (0, 1)),
            note          TEXT NOT NULL,
            created_at    TEXT NOT NULL,
            withdrawn_at  TEXT,
            FOREIGN KEY (correction_id, author_id) REFERENCES corrections (id, author_id) ON DELETE CASCADE,
            CHECK (reviewer_id <> author_id),
            CHECK ((decision = 'approved') = (final_reply IS NOT NULL))
        ) STRICT
        """,
        "CREATE UNIQUE INDEX one_review_a_reviewer ON reviews (correction_id, reviewer_id) WHERE withdrawn_at IS NULL",
        "CREATE UNIQUE INDEX one_rejection ON reviews (correction_id) WHERE decision = 'rejected' AND withdrawn_at IS NULL",
    )


@MIGRATIONS()
def m003_audit(db: sqlite_utils.Database) -> None:
    """The audit: a chain of hashes that nothing may change."""
    _run(
        db,
        """
        CREATE TABLE audit (
            number        INTEGER PRIMARY KEY,
            happened_at   TEXT NOT NULL,
            actor_id      TEXT,
            action        TEXT NOT NULL,
            subject       TEXT NOT NULL,
            details       TEXT NOT NULL CHECK (json_valid(details)),
            previous_hash TEXT NOT NULL,
            hash          TEXT NOT NULL UNIQUE
        ) STRICT
        """,
        "CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
        "CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    )


def _run(db: sqlite_utils.Database, *statements: str) -> None:
    """Run statements one by one; `executescript` would commit the transaction around them."""
    for statement in statements:
        db.execute(statement)
