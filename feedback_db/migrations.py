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
        CREATE TABLE sessions (
            token_hash TEXT PRIMARY KEY CHECK (token_hash <> ''),
            person_id  TEXT NOT NULL REFERENCES people (id),
            created_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            ended_at   TEXT,
            CHECK (expires_at > created_at)
        ) STRICT
        """,
        "CREATE INDEX sessions_of_person ON sessions (person_id) WHERE ended_at IS NULL",
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
        CREATE VIEW standing_consents AS
        SELECT conversation_id, given FROM consents
        WHERE id = (SELECT max(id) FROM consents AS newer WHERE newer.conversation_id = consents.conversation_id)
        """,
        """
        CREATE TABLE turns (
            id              TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            position        INTEGER NOT NULL CHECK (position >= 0),
            user_message    TEXT NOT NULL,
            reply           TEXT NOT NULL,
            state           TEXT NOT NULL CHECK (state IN ('complete', 'stopped', 'failed')),
            error           TEXT,
            version         INTEGER NOT NULL REFERENCES releases (version),
            sampling        TEXT NOT NULL CHECK (json_valid(sampling)),
            prompt_tokens   INTEGER NOT NULL CHECK (prompt_tokens >= 0),
            reply_tokens    INTEGER NOT NULL CHECK (reply_tokens >= 0),
            first_token_ms  INTEGER CHECK (first_token_ms >= 0),
            latency_ms      INTEGER NOT NULL CHECK (latency_ms >= 0),
            created_at      TEXT NOT NULL,
            UNIQUE (conversation_id, position),
            UNIQUE (id, conversation_id),
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
            UNIQUE (id, author_id),
            UNIQUE (id, turn_id)
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
        "CREATE INDEX reviews_of_correction ON reviews (correction_id, author_id)",
        "CREATE UNIQUE INDEX one_review_a_reviewer ON reviews (correction_id, reviewer_id) WHERE withdrawn_at IS NULL",
        "CREATE UNIQUE INDEX one_rejection ON reviews (correction_id) WHERE decision = 'rejected' AND withdrawn_at IS NULL",
        """
        CREATE VIEW standing_approvals AS
        SELECT id AS review_id, correction_id, final_reply, created_at AS approved_at FROM reviews
        WHERE withdrawn_at IS NULL AND id = (
            SELECT max(id) FROM reviews AS newer
            WHERE newer.correction_id = reviews.correction_id AND newer.decision = 'approved' AND newer.withdrawn_at IS NULL
        )
        """,
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
        *_refuse_changes("audit", "the audit is append-only"),
    )


@MIGRATIONS()
def m004_examples_and_snapshots(db: sqlite_utils.Database) -> None:
    """Examples, other wordings of their questions, and the snapshots that hold them."""
    _run(
        db,
        # An example that was superseded by one that has been erased stays retired: what it says is known to be outdated. So no
        # foreign key there, but a trigger for the moment of retiring.
        """
        CREATE TABLE examples (
            correction_id   TEXT PRIMARY KEY,
            turn_id         TEXT NOT NULL,
            conversation_id TEXT NOT NULL,
            messages        TEXT NOT NULL CHECK (json_valid(messages)),
            reply           TEXT NOT NULL CHECK (trim(reply) <> ''),
            created_at      TEXT NOT NULL,
            retired_at      TEXT,
            superseded_by   TEXT,
            FOREIGN KEY (correction_id, turn_id) REFERENCES corrections (id, turn_id) ON DELETE CASCADE,
            FOREIGN KEY (turn_id, conversation_id) REFERENCES turns (id, conversation_id) ON DELETE CASCADE,
            CHECK ((retired_at IS NULL) = (superseded_by IS NULL)),
            CONSTRAINT last_message_is_a_question CHECK (
                coalesce(
                    json_extract(messages, '$[#-1].role') = 'user' AND trim(json_extract(messages, '$[#-1].content')) <> '', FALSE
                )
            )
        ) STRICT
        """,
        "CREATE INDEX examples_of_turn ON examples (turn_id, conversation_id)",
        """
        CREATE TRIGGER examples_are_not_rewritten
        BEFORE UPDATE OF correction_id, turn_id, conversation_id, messages, reply, created_at ON examples
        BEGIN SELECT RAISE(ABORT, 'an example is not rewritten'); END
        """,
        """
        CREATE TRIGGER examples_yield_to_one_in_force BEFORE UPDATE OF superseded_by ON examples
        WHEN NEW.superseded_by IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM examples
            WHERE correction_id = NEW.superseded_by AND correction_id <> NEW.correction_id AND retired_at IS NULL
        )
        BEGIN SELECT RAISE(ABORT, 'only another example in force supersedes'); END
        """,
        """
        CREATE VIEW trainability AS
        SELECT corrections.id AS example_id, CASE
            WHEN corrections.state = 'rejected' THEN 'rejected'
            WHEN corrections.state = 'pending' THEN iif(
                EXISTS (SELECT 1 FROM reviews WHERE correction_id = corrections.id AND withdrawn_at IS NOT NULL), 'withdrawn', 'pending'
            )
            WHEN examples.correction_id IS NULL THEN 'missing'
            WHEN retired_at IS NOT NULL THEN 'retired'
            WHEN given IS NOT 1 THEN 'unconsented'
        END AS obstacle
        FROM corrections
        LEFT JOIN examples ON examples.correction_id = corrections.id
        LEFT JOIN standing_consents ON standing_consents.conversation_id = examples.conversation_id
        """,
        """
        CREATE TABLE variants (
            id            INTEGER PRIMARY KEY,
            correction_id TEXT NOT NULL REFERENCES corrections (id) ON DELETE CASCADE,
            text          TEXT NOT NULL CHECK (trim(text) <> ''),
            source        TEXT NOT NULL CHECK (source IN ('reviewer', 'log')),
            split         TEXT NOT NULL CHECK (split IN ('train', 'stop', 'test')),
            turn_id       TEXT REFERENCES turns (id) ON DELETE CASCADE,
            added_by      TEXT REFERENCES people (id),
            created_at    TEXT NOT NULL,
            UNIQUE (correction_id, text COLLATE NOCASE),
            CHECK ((source = 'log') = (turn_id IS NOT NULL)),
            CHECK ((source = 'reviewer') = (added_by IS NOT NULL))
        ) STRICT
        """,
        "CREATE INDEX variants_of_turn ON variants (turn_id) WHERE turn_id IS NOT NULL",
        "CREATE TRIGGER variants_keep_their_split BEFORE UPDATE ON variants BEGIN SELECT RAISE(ABORT, 'a variant is for ever'); END",
        """
        CREATE TABLE snapshots (
            id            TEXT PRIMARY KEY CHECK (id <> ''),
            created_at    TEXT NOT NULL,
            example_count INTEGER NOT NULL CONSTRAINT a_snapshot_is_not_empty CHECK (example_count > 0)
        ) STRICT
        """,
        # Its examples are written before the snapshot, whose row seals them; no key to the examples, for it must survive their erasure.
        """
        CREATE TABLE snapshot_examples (
            snapshot_id  TEXT NOT NULL REFERENCES snapshots (id) DEFERRABLE INITIALLY DEFERRED,
            example_id   TEXT NOT NULL,
            content_hash TEXT NOT NULL CHECK (content_hash <> ''),
            PRIMARY KEY (snapshot_id, example_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX snapshots_of_example ON snapshot_examples (example_id)",
        *_refuse_changes("snapshots", "a snapshot is immutable"),
        *_refuse_changes("snapshot_examples", "a snapshot is immutable"),
        """
        CREATE TRIGGER snapshot_examples_are_sealed BEFORE INSERT ON snapshot_examples
        WHEN EXISTS (SELECT 1 FROM snapshots WHERE id = NEW.snapshot_id)
        BEGIN SELECT RAISE(ABORT, 'a snapshot is immutable'); END
        """,
        """
        CREATE TRIGGER snapshots_are_whole BEFORE INSERT ON snapshots
        WHEN NEW.example_count <> (SELECT count(*) FROM snapshot_examples WHERE snapshot_id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'a snapshot counts its examples'); END
        """,
        """
        CREATE TRIGGER snapshot_examples_may_be_trained BEFORE INSERT ON snapshot_examples
        WHEN NOT EXISTS (SELECT 1 FROM trainability WHERE example_id = NEW.example_id AND obstacle IS NULL)
        BEGIN SELECT RAISE(ABORT, 'a snapshot holds only what may be trained'); END
        """,
        """
        CREATE TRIGGER reviews_stay_once_learned BEFORE UPDATE OF withdrawn_at ON reviews
        WHEN EXISTS (SELECT 1 FROM snapshot_examples WHERE example_id = OLD.correction_id)
        BEGIN SELECT RAISE(ABORT, 'a snapshot holds its example'); END
        """,
    )


@MIGRATIONS()
def m005_runs(db: sqlite_utils.Database) -> None:
    """Runs, what they tell while they are under way, and the reports on them."""
    _run(
        db,
        """
        CREATE TABLE runs (
            id                 TEXT PRIMARY KEY CHECK (id <> ''),
            snapshot_id        TEXT NOT NULL REFERENCES snapshots (id),
            recipe             TEXT NOT NULL CHECK (json_valid(recipe)),
            seed               INTEGER NOT NULL,
            state              TEXT NOT NULL DEFAULT 'queued'
                               CHECK (state IN ('queued', 'running', 'succeeded', 'rejected', 'failed', 'cancelled')),
            attempt            INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1),
            pid                INTEGER CHECK (pid > 0),
            process_started_at REAL,
            requested_by       TEXT REFERENCES people (id),
            reason             TEXT NOT NULL,
            error              TEXT CHECK (trim(error) <> ''),
            created_at         TEXT NOT NULL,
            started_at         TEXT,
            finished_at        TEXT,
            CHECK ((state = 'failed') = (error IS NOT NULL)),
            CHECK ((state = 'running') = (pid IS NOT NULL)),
            CHECK ((state = 'running') = (process_started_at IS NOT NULL)),
            CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL)),
            CHECK (iif(state = 'queued', started_at IS NULL, state IN ('failed', 'cancelled') OR started_at IS NOT NULL))
        ) STRICT
        """,
        "CREATE UNIQUE INDEX one_active_run ON runs ((1)) WHERE state IN ('queued', 'running')",
        "CREATE INDEX runs_of_snapshot ON runs (snapshot_id)",
        """
        CREATE TRIGGER runs_do_not_go_back BEFORE UPDATE ON runs
        WHEN OLD.finished_at IS NOT NULL OR (OLD.state = 'running' AND NEW.state = 'queued') OR NEW.attempt < OLD.attempt
        BEGIN SELECT RAISE(ABORT, 'a run does not go back'); END
        """,
        """
        CREATE TRIGGER runs_keep_their_order BEFORE UPDATE OF id, snapshot_id, recipe, seed, requested_by, reason, created_at ON runs
        BEGIN SELECT RAISE(ABORT, 'a run keeps what was ordered'); END
        """,
        "CREATE TRIGGER runs_are_not_deleted BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'a run is not deleted'); END",
        """
        CREATE TABLE run_events (
            run_id      TEXT NOT NULL REFERENCES runs (id),
            number      INTEGER NOT NULL CHECK (number >= 1),
            happened_at TEXT NOT NULL,
            phase       TEXT NOT NULL CHECK (phase <> ''),
            step        INTEGER CHECK (step >= 0),
            details     TEXT NOT NULL CHECK (json_valid(details)),
            PRIMARY KEY (run_id, number)
        ) STRICT, WITHOUT ROWID
        """,
        *_refuse_changes("run_events", "what a run told is append-only"),
        """
        CREATE TABLE reports (
            run_id     TEXT PRIMARY KEY REFERENCES runs (id),
            shape      INTEGER NOT NULL CHECK (shape >= 1),
            report     TEXT NOT NULL CHECK (json_valid(report) AND json_type(report, '$.items') IS 'array'),
            decision   TEXT NOT NULL CHECK (decision IN ('promote', 'needs_person', 'rejected')),
            reasons    TEXT NOT NULL CHECK (json_valid(reasons) AND json_type(reasons) = 'array'),
            created_at TEXT NOT NULL
        ) STRICT
        """,
        # Erasure takes questions out of a report; what the gate said of it stays.
        """
        CREATE TRIGGER reports_keep_their_verdict BEFORE UPDATE OF run_id, shape, decision, reasons, created_at ON reports
        BEGIN SELECT RAISE(ABORT, 'a report keeps its verdict'); END
        """,
        "CREATE TRIGGER reports_are_not_deleted BEFORE DELETE ON reports BEGIN SELECT RAISE(ABORT, 'a report is not deleted'); END",
    )


@MIGRATIONS()
def m006_releases(db: sqlite_utils.Database) -> None:
    """Releases, the wish for one to be live, and the fact that it is."""
    _run(
        db,
        """
        CREATE TABLE releases (
            version        INTEGER PRIMARY KEY CHECK (version >= 0),
            base           TEXT NOT NULL CHECK (base <> ''),
            revision       TEXT NOT NULL CHECK (revision <> ''),
            quantisation   TEXT NOT NULL CHECK (quantisation <> ''),
            template_hash  TEXT NOT NULL CHECK (template_hash <> ''),
            system_message TEXT,
            sampling       TEXT NOT NULL CHECK (json_valid(sampling)),
            run_id         TEXT UNIQUE REFERENCES runs (id),
            adapter_hash   TEXT,
            created_at     TEXT NOT NULL,
            CHECK ((run_id IS NULL) = (adapter_hash IS NULL)),
            CONSTRAINT version_0_is_the_bare_base CHECK (version > 0 OR run_id IS NULL)
        ) STRICT
        """,
        *_refuse_changes("releases", "a release is immutable"),
        """
        CREATE TABLE deployments (
            id         INTEGER PRIMARY KEY,
            version    INTEGER NOT NULL REFERENCES releases (version),
            actor_id   TEXT REFERENCES people (id),
            reason     TEXT NOT NULL CHECK (trim(reason) <> ''),
            undoes     INTEGER UNIQUE REFERENCES deployments (id),
            created_at TEXT NOT NULL,
            CHECK (undoes < id)
        ) STRICT
        """,
        *_refuse_changes("deployments", "deployments are append-only"),
        """
        CREATE TABLE swaps (
            id            INTEGER PRIMARY KEY,
            deployment_id INTEGER NOT NULL REFERENCES deployments (id),
            version       INTEGER NOT NULL REFERENCES releases (version),
            outcome       TEXT NOT NULL CHECK (outcome IN ('served', 'refused')),
            error         TEXT CHECK (trim(error) <> ''),
            duration_ms   REAL NOT NULL CHECK (duration_ms >= 0),
            happened_at   TEXT NOT NULL,
            CHECK ((outcome = 'refused') = (error IS NOT NULL))
        ) STRICT
        """,
        *_refuse_changes("swaps", "swaps are append-only"),
    )


@MIGRATIONS()
def m007_requests_and_schedule(db: sqlite_utils.Database) -> None:
    """What people ask of the supervisor, and what it tells them of the schedule."""
    _run(
        db,
        """
        CREATE TABLE requests (
            id         INTEGER PRIMARY KEY,
            kind       TEXT NOT NULL CHECK (kind IN ('train', 'dry_run', 'cancel')),
            person_id  TEXT NOT NULL REFERENCES people (id),
            reason     TEXT NOT NULL,
            created_at TEXT NOT NULL,
            handled_at TEXT,
            outcome    TEXT CHECK (trim(outcome) <> ''),
            CHECK ((handled_at IS NULL) = (outcome IS NULL))
        ) STRICT
        """,
        "CREATE INDEX requests_open ON requests (id) WHERE handled_at IS NULL",
        """
        CREATE TABLE schedule_status (
            id           INTEGER PRIMARY KEY CHECK (id = 1),
            is_due       INTEGER NOT NULL CHECK (is_due IN (0, 1)),
            reasons      TEXT NOT NULL CHECK (json_valid(reasons) AND json_type(reasons) = 'array'),
            next_look_at TEXT,
            updated_at   TEXT NOT NULL
        ) STRICT
        """,
    )


@MIGRATIONS()
def m008_erasures(db: sqlite_utils.Database) -> None:
    """What was erased, and whether the files outside the database have been cleaned since."""
    _run(
        db,
        """
        CREATE TABLE erasures (
            id         INTEGER PRIMARY KEY,
            kind       TEXT NOT NULL CHECK (kind IN ('conversation', 'person')),
            subject    TEXT NOT NULL CHECK (subject <> ''),
            erased_at  TEXT NOT NULL,
            cleaned_at TEXT
        ) STRICT
        """,
        "CREATE INDEX erasures_uncleaned ON erasures (id) WHERE cleaned_at IS NULL",
        """
        CREATE TRIGGER erasures_are_cleaned_once BEFORE UPDATE ON erasures
        WHEN OLD.cleaned_at IS NOT NULL OR NEW.cleaned_at IS NULL
            OR (NEW.id, NEW.kind, NEW.subject, NEW.erased_at) IS NOT (OLD.id, OLD.kind, OLD.subject, OLD.erased_at)
        BEGIN SELECT RAISE(ABORT, 'an erasure is only cleaned, and once'); END
        """,
        "CREATE TRIGGER erasures_are_not_deleted BEFORE DELETE ON erasures BEGIN SELECT RAISE(ABORT, 'an erasure is not deleted'); END",
    )


@MIGRATIONS()
def m009_erasing_words(db: sqlite_utils.Database) -> None:
    """Let erasure blank the reason of a run or a deployment, and take an erased reply out of an example's history."""
    _run(
        db,
        "DROP TRIGGER runs_do_not_go_back",
        """
        CREATE TRIGGER runs_do_not_go_back
        BEFORE UPDATE OF state, attempt, pid, process_started_at, error, started_at, finished_at ON runs
        WHEN OLD.finished_at IS NOT NULL OR (OLD.state = 'running' AND NEW.state = 'queued') OR NEW.attempt < OLD.attempt
        BEGIN SELECT RAISE(ABORT, 'a run does not go back'); END
        """,
        "DROP TRIGGER runs_keep_their_order",
        """
        CREATE TRIGGER runs_keep_their_order BEFORE UPDATE OF id, snapshot_id, recipe, seed, requested_by, created_at ON runs
        BEGIN SELECT RAISE(ABORT, 'a run keeps what was ordered'); END
        """,
        """
        CREATE TRIGGER runs_keep_their_reason BEFORE UPDATE OF reason ON runs WHEN NEW.reason <> 'Erased.'
        BEGIN SELECT RAISE(ABORT, 'a run keeps what was ordered'); END
        """,
        "DROP TRIGGER deployments_is_not_updated",
        """
        CREATE TRIGGER deployments_is_not_updated BEFORE UPDATE ON deployments
        WHEN NEW.reason <> 'Erased.'
            OR (NEW.id, NEW.version, NEW.actor_id, NEW.undoes, NEW.created_at)
            IS NOT (OLD.id, OLD.version, OLD.actor_id, OLD.undoes, OLD.created_at)
        BEGIN SELECT RAISE(ABORT, 'deployments are append-only'); END
        """,
        "DROP TRIGGER examples_are_not_rewritten",
        """
        CREATE TRIGGER examples_are_not_rewritten
        BEFORE UPDATE OF correction_id, turn_id, conversation_id, reply, created_at ON examples
        BEGIN SELECT RAISE(ABORT, 'an example is not rewritten'); END
        """,
        """
        CREATE TRIGGER examples_keep_their_question BEFORE UPDATE OF messages ON examples
        WHEN iif(json_valid(NEW.messages), json_extract(NEW.messages, '$[#-1]') IS NOT json_extract(OLD.messages, '$[#-1]'), TRUE)
        BEGIN SELECT RAISE(ABORT, 'an example is not rewritten'); END
        """,
    )


@MIGRATIONS()
def m010_golden_set(db: sqlite_utils.Database) -> None:
    """Questions whose answers must stay right; and the way to those that began a conversation."""
    _run(
        db,
        """
        CREATE TABLE golden_items (
            id         INTEGER PRIMARY KEY,
            question   TEXT NOT NULL CHECK (trim(question) <> ''),
            reply      TEXT NOT NULL CHECK (trim(reply) <> ''),
            added_by   TEXT NOT NULL REFERENCES people (id),
            created_at TEXT NOT NULL,
            retired_at TEXT
        ) STRICT
        """,
        """
        CREATE TRIGGER golden_items_are_only_retired BEFORE UPDATE ON golden_items
        WHEN OLD.retired_at IS NOT NEW.retired_at AND OLD.retired_at IS NOT NULL
            OR (NEW.id, NEW.question, NEW.reply, NEW.added_by, NEW.created_at)
            IS NOT (OLD.id, OLD.question, OLD.reply, OLD.added_by, OLD.created_at)
        BEGIN SELECT RAISE(ABORT, 'a golden item is only retired'); END
        """,
        "CREATE INDEX opening_turns ON turns (created_at) WHERE position = 0 AND state = 'complete'",
    )


@MIGRATIONS()
def m011_second_thoughts(db: sqlite_utils.Database) -> None:
    """Turns that take the place of another, and whether a correction that went live has made it better."""
    _run(
        db,
        "ALTER TABLE turns ADD COLUMN replaces TEXT REFERENCES turns (id) ON DELETE CASCADE",
        "CREATE UNIQUE INDEX turns_are_replaced_once ON turns (replaces) WHERE replaces IS NOT NULL",
        """
        CREATE TRIGGER turns_replace_an_earlier_one BEFORE INSERT ON turns
        WHEN NEW.replaces IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM turns
            WHERE id = NEW.replaces AND conversation_id = NEW.conversation_id AND position < NEW.position
        )
        BEGIN SELECT RAISE(ABORT, 'a turn replaces an earlier one of its conversation'); END
        """,
        """
        CREATE TABLE fix_votes (
            correction_id TEXT PRIMARY KEY,
            author_id     TEXT NOT NULL,
            version       INTEGER NOT NULL REFERENCES releases (version),
            is_better     INTEGER NOT NULL CHECK (is_better IN (0, 1)),
            created_at    TEXT NOT NULL,
            FOREIGN KEY (correction_id, author_id) REFERENCES corrections (id, author_id) ON DELETE CASCADE
        ) STRICT
        """,
    )


@MIGRATIONS()
def m012_review_queue(db: sqlite_utils.Database) -> None:
    """What waits for a reviewer, kept up to date by the database itself: a page of it must not depend on how much was ever said."""
    _run(
        db,
        "ALTER TABLE turns ADD COLUMN question_key TEXT NOT NULL DEFAULT ''",
        "UPDATE turns SET question_key = id",
        "CREATE INDEX turns_by_question ON turns (question_key)",
        """
        CREATE TABLE open_reports (
            id            INTEGER PRIMARY KEY,
            question_key  TEXT NOT NULL CHECK (question_key <> ''),
            turn_id       TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            person_id     TEXT NOT NULL REFERENCES people (id),
            correction_id TEXT UNIQUE REFERENCES corrections (id) ON DELETE CASCADE,
            created_at    TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX open_reports_by_question ON open_reports (question_key, person_id)",
        "CREATE UNIQUE INDEX one_bare_report_a_person ON open_reports (turn_id, person_id) WHERE correction_id IS NULL",
        """
        CREATE TABLE queue_items (
            question_key     TEXT PRIMARY KEY,
            reporter_count   INTEGER NOT NULL CHECK (reporter_count > 0),
            correction_count INTEGER NOT NULL CHECK (correction_count >= 0),
            first_at         TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX queue_items_by_use ON queue_items (correction_count = 0, reporter_count DESC, first_at, question_key)",
        f"CREATE TRIGGER open_reports_are_counted AFTER INSERT ON open_reports BEGIN {_count_reports('NEW')} END",
        f"CREATE TRIGGER open_reports_are_counted_down AFTER DELETE ON open_reports BEGIN {_count_reports('OLD')} END",
        f"CREATE TRIGGER corrections_are_reported AFTER INSERT ON corrections WHEN NEW.state = 'pending' BEGIN {_REPORT_CORRECTION} END",
        f"""
        CREATE TRIGGER corrections_are_reported_again AFTER UPDATE OF state ON corrections
        WHEN NEW.state = 'pending' AND OLD.state <> 'pending'
        BEGIN {_REPORT_CORRECTION} {_REPORT_RATINGS_OF_QUESTION} END
        """,
        # Who only disliked what is now corrected need not be heard again.
        """
        CREATE TRIGGER corrections_are_settled AFTER UPDATE OF state ON corrections WHEN NEW.state <> 'pending'
        BEGIN
            DELETE FROM open_reports WHERE correction_id = NEW.id;
            DELETE FROM open_reports WHERE NEW.state = 'approved' AND correction_id IS NULL
                AND question_key = (SELECT question_key FROM turns WHERE id = NEW.turn_id);
        END
        """,
        """
        CREATE TRIGGER ratings_are_reported AFTER INSERT ON ratings WHEN NEW.is_good = 0 AND NEW.withdrawn_at IS NULL
        BEGIN
            INSERT INTO open_reports (question_key, turn_id, person_id, created_at)
            SELECT question_key, id, NEW.person_id, NEW.created_at FROM turns
            WHERE id = NEW.turn_id AND question_key <> ''
            AND NOT EXISTS (SELECT 1 FROM open_reports WHERE turn_id = NEW.turn_id AND person_id = NEW.person_id)
            AND NOT EXISTS (SELECT 1 FROM corrections WHERE turn_id = NEW.turn_id AND state = 'approved');
        END
        """,
        """
        CREATE TRIGGER ratings_are_taken_back AFTER UPDATE OF withdrawn_at ON ratings WHEN NEW.withdrawn_at IS NOT NULL
        BEGIN
            DELETE FROM open_reports WHERE turn_id = NEW.turn_id AND person_id = NEW.person_id AND correction_id IS NULL;
        END
        """,
        """
        CREATE TABLE claims (
            question_key  TEXT PRIMARY KEY,
            reviewer_id   TEXT NOT NULL REFERENCES people (id),
            claimed_until TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX claims_of_reviewer ON claims (reviewer_id)",
        """
        CREATE TABLE skips (
            question_key TEXT NOT NULL,
            reviewer_id  TEXT NOT NULL REFERENCES people (id),
            skipped_at   TEXT NOT NULL,
            PRIMARY KEY (question_key, reviewer_id)
        ) STRICT, WITHOUT ROWID
        """,
    )


@MIGRATIONS()
def m013_retirements(db: sqlite_utils.Database) -> None:
    """Examples that a person has taken out of training, without another one that contradicts them."""
    _run(
        db,
        """
        CREATE TABLE retirements (
            example_id TEXT PRIMARY KEY REFERENCES examples (correction_id) ON DELETE CASCADE,
            person_id  TEXT NOT NULL REFERENCES people (id),
            retired_at TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX corrections_by_state ON corrections (state, created_at DESC)",
        "CREATE INDEX corrections_of_author ON corrections (author_id, state)",
        "CREATE INDEX reviews_of_reviewer ON reviews (reviewer_id, created_at DESC)",
        "DROP VIEW trainability",
        """
        CREATE VIEW trainability AS
        SELECT corrections.id AS example_id, CASE
            WHEN corrections.state = 'rejected' THEN 'rejected'
            WHEN corrections.state = 'pending' THEN iif(
                EXISTS (SELECT 1 FROM reviews WHERE correction_id = corrections.id AND withdrawn_at IS NOT NULL), 'withdrawn', 'pending'
            )
            WHEN examples.correction_id IS NULL THEN 'missing'
            WHEN examples.retired_at IS NOT NULL OR retirements.example_id IS NOT NULL THEN 'retired'
            WHEN given IS NOT 1 THEN 'unconsented'
        END AS obstacle
        FROM corrections
        LEFT JOIN examples ON examples.correction_id = corrections.id
        LEFT JOIN retirements ON retirements.example_id = examples.correction_id
        LEFT JOIN standing_consents ON standing_consents.conversation_id = examples.conversation_id
        """,
    )


@MIGRATIONS()
def m014_choices_and_second_thoughts(db: sqlite_utils.Database) -> None:
    """What admins choose, the recipe of a single run and settings; dismissals, which can be taken back; what charts count, by time."""
    _run(
        db,
        "ALTER TABLE requests ADD COLUMN recipe TEXT CHECK (recipe IS NULL OR (json_valid(recipe) AND kind <> 'cancel'))",
        """
        CREATE TABLE chosen_settings (
            id         INTEGER PRIMARY KEY,
            person_id  TEXT NOT NULL REFERENCES people (id),
            chosen     TEXT NOT NULL CHECK (json_valid(chosen) AND json_type(chosen) = 'object'),
            created_at TEXT NOT NULL
        ) STRICT
        """,
        *_refuse_changes("chosen_settings", "what was chosen is append-only"),
        """
        CREATE TABLE dismissals (
            id           INTEGER PRIMARY KEY,
            question_key TEXT NOT NULL,
            reviewer_id  TEXT NOT NULL REFERENCES people (id),
            dismissed_at TEXT NOT NULL,
            restored_at  TEXT
        ) STRICT
        """,
        "CREATE INDEX dismissals_of_reviewer ON dismissals (reviewer_id, dismissed_at)",
        """
        CREATE TABLE dismissed_reports (
            dismissal_id INTEGER NOT NULL REFERENCES dismissals (id),
            turn_id      TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            person_id    TEXT NOT NULL REFERENCES people (id),
            created_at   TEXT NOT NULL,
            PRIMARY KEY (dismissal_id, turn_id, person_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX dismissed_reports_of_turn ON dismissed_reports (turn_id)",
        "CREATE INDEX turns_by_time ON turns (created_at, first_token_ms, latency_ms, reply_tokens)",
        "CREATE INDEX ratings_by_time ON ratings (created_at, is_good) WHERE withdrawn_at IS NULL",
        "CREATE INDEX corrections_by_time ON corrections (created_at)",
        "CREATE INDEX reviews_by_time ON reviews (created_at) WHERE withdrawn_at IS NULL",
    )


@MIGRATIONS()
def m015_decisions(db: sqlite_utils.Database) -> None:
    """What a reviewer decided at once, so that it can be undone as a whole; the age of what waits."""
    _run(
        db,
        """
        CREATE TABLE decisions (
            id           INTEGER PRIMARY KEY,
            reviewer_id  TEXT NOT NULL REFERENCES people (id),
            deed         TEXT NOT NULL CHECK (deed <> ''),
            question_key TEXT,
            parts        TEXT NOT NULL CHECK (json_valid(parts) AND json_type(parts) = 'array'),
            decided_at   TEXT NOT NULL,
            undone_at    TEXT
        ) STRICT
        """,
        "CREATE INDEX decisions_of_reviewer ON decisions (reviewer_id, id)",
        """
        CREATE TRIGGER decisions_are_undone_once BEFORE UPDATE ON decisions
        WHEN OLD.undone_at IS NOT NULL OR NEW.undone_at IS NULL
            OR (NEW.id, NEW.reviewer_id, NEW.deed, NEW.question_key, NEW.parts, NEW.decided_at)
            IS NOT (OLD.id, OLD.reviewer_id, OLD.deed, OLD.question_key, OLD.parts, OLD.decided_at)
        BEGIN SELECT RAISE(ABORT, 'a decision is only undone, and once'); END
        """,
        "DROP TRIGGER golden_items_are_only_retired",
        """
        CREATE TRIGGER golden_items_are_only_retired BEFORE UPDATE ON golden_items
        WHEN (OLD.retired_at IS NOT NEW.retired_at AND OLD.retired_at IS NOT NULL AND NEW.retired_at IS NOT NULL)
            OR (NEW.id, NEW.question, NEW.reply, NEW.added_by, NEW.created_at)
            IS NOT (OLD.id, OLD.question, OLD.reply, OLD.added_by, OLD.created_at)
        BEGIN SELECT RAISE(ABORT, 'a golden item is only retired'); END
        """,
        "CREATE INDEX queue_items_by_age ON queue_items (first_at)",
    )


@MIGRATIONS()
def m016_password_links_and_adoptions(db: sqlite_utils.Database) -> None:
    """Links by which somebody whose password was reset chooses another one; visitors who turned out to be an account's person."""
    _run(
        db,
        """
        CREATE TABLE password_links (
            token_hash TEXT PRIMARY KEY CHECK (token_hash <> ''),
            person_id  TEXT NOT NULL REFERENCES people (id),
            created_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            ended_at   TEXT,
            CHECK (expires_at > created_at)
        ) STRICT
        """,
        "CREATE UNIQUE INDEX one_password_link_a_person ON password_links (person_id) WHERE ended_at IS NULL",
        """
        CREATE TABLE adoptions (
            visitor_id TEXT PRIMARY KEY REFERENCES people (id),
            account_id TEXT NOT NULL REFERENCES people (id),
            adopted_at TEXT NOT NULL
        ) STRICT
        """,
        *_refuse_changes("adoptions", "an adoption is for ever"),
        # The words of the table's own check: whoever has adopted the author is the author.
        """
        CREATE TRIGGER reviews_are_by_others BEFORE INSERT ON reviews
        WHEN EXISTS (SELECT 1 FROM adoptions WHERE visitor_id = NEW.author_id AND account_id = NEW.reviewer_id)
        BEGIN SELECT RAISE(ABORT, 'reviewer_id <> author_id'); END
        """,
        f"CREATE TRIGGER open_reports_are_counted_anew AFTER UPDATE OF person_id ON open_reports BEGIN {_count_reports('NEW')} END",
    )


@MIGRATIONS()
def m017_unwatched_questions_and_forecasts(db: sqlite_utils.Database) -> None:
    """Questions of the guard set that reviewers no longer have watched, and for which correction's sake; what a dry run has foreseen."""
    _run(
        db,
        "ALTER TABLE requests ADD COLUMN forecast TEXT CHECK (forecast IS NULL OR (json_valid(forecast) AND kind = 'dry_run'))",
        """
        CREATE TABLE unwatched_questions (
            id            INTEGER PRIMARY KEY,
            question_key  TEXT NOT NULL CHECK (question_key <> ''),
            correction_id TEXT NOT NULL REFERENCES corrections (id) ON DELETE CASCADE,
            person_id     TEXT NOT NULL REFERENCES people (id),
            stopped_at    TEXT NOT NULL,
            UNIQUE (question_key, correction_id)
        ) STRICT
        """,
        "CREATE INDEX unwatched_questions_of_correction ON unwatched_questions (correction_id)",
    )


@MIGRATIONS()
def m018_keys_of_the_api(db: sqlite_utils.Database) -> None:
    """Keys of programs, and what a turn that one of them asked for tells: which key, what the client says was said before, what it wants.

    A program's names for people are told apart by their case; what signs in is not.
    """
    _run(
        db,
        """
        CREATE TABLE api_keys (
            id           TEXT PRIMARY KEY,
            name         TEXT NOT NULL CHECK (name <> '' AND instr(name, '/') = 0),
            token_hash   TEXT NOT NULL UNIQUE CHECK (token_hash <> ''),
            hint         TEXT NOT NULL,
            scopes       TEXT NOT NULL CHECK (json_valid(scopes) AND json_type(scopes) = 'array' AND json_array_length(scopes) > 0),
            made_by      TEXT NOT NULL REFERENCES people (id),
            made_at      TEXT NOT NULL,
            used_at      TEXT,
            revoked_at   TEXT
        ) STRICT
        """,
        "CREATE UNIQUE INDEX api_keys_by_name ON api_keys (name COLLATE NOCASE) WHERE revoked_at IS NULL",
        """
        CREATE TRIGGER api_keys_are_only_used_and_revoked BEFORE UPDATE ON api_keys
        WHEN OLD.revoked_at IS NOT NULL
            OR (NEW.id, NEW.name, NEW.token_hash, NEW.hint, NEW.scopes, NEW.made_by, NEW.made_at)
            IS NOT (OLD.id, OLD.name, OLD.token_hash, OLD.hint, OLD.scopes, OLD.made_by, OLD.made_at)
        BEGIN SELECT RAISE(ABORT, 'a key is only used and revoked'); END
        """,
        "DROP INDEX people_by_name",
        "CREATE UNIQUE INDEX accounts_by_name ON people (name COLLATE NOCASE) WHERE kind = 'account' AND erased_at IS NULL",
        "CREATE UNIQUE INDEX externals_by_name ON people (name) WHERE kind = 'external' AND erased_at IS NULL",
        "ALTER TABLE conversations ADD COLUMN chat_id TEXT CHECK (chat_id <> '')",
        "CREATE UNIQUE INDEX conversations_by_chat_id ON conversations (person_id, chat_id) WHERE chat_id IS NOT NULL",
        "ALTER TABLE turns ADD COLUMN key_id TEXT REFERENCES api_keys (id)",
        "ALTER TABLE turns ADD COLUMN thread_hash TEXT CHECK (thread_hash <> '')",
        "CREATE INDEX turns_by_thread ON turns (thread_hash) WHERE thread_hash IS NOT NULL",
        "ALTER TABLE turns ADD COLUMN told_history TEXT CHECK (told_history IS NULL OR json_type(told_history) = 'array')",
        "ALTER TABLE turns ADD COLUMN told_system TEXT CHECK (told_system <> '')",
        """
        CREATE TABLE api_feedback (
            id           TEXT PRIMARY KEY,
            key_id       TEXT NOT NULL REFERENCES api_keys (id),
            turn_id      TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            client_key   TEXT CHECK (client_key <> ''),
            content_hash TEXT NOT NULL,
            created_at   TEXT NOT NULL
        ) STRICT
        """,
        "CREATE UNIQUE INDEX api_feedback_by_client_key ON api_feedback (key_id, client_key) WHERE client_key IS NOT NULL",
        "CREATE INDEX api_feedback_of_turn ON api_feedback (turn_id)",
    )


@MIGRATIONS()
def m019_names_of_messages(db: sqlite_utils.Database) -> None:
    """What a program calls a reply, for one that never sees the reply's id here."""
    _run(
        db,
        "ALTER TABLE turns ADD COLUMN message_id TEXT CHECK (message_id <> '')",
        "CREATE INDEX turns_by_message_id ON turns (message_id) WHERE message_id IS NOT NULL",
    )


_REPORT_CORRECTION = """
    DELETE FROM open_reports WHERE turn_id = NEW.turn_id AND person_id = NEW.author_id AND correction_id IS NULL;
    INSERT INTO open_reports (question_key, turn_id, person_id, correction_id, created_at)
    SELECT question_key, NEW.turn_id, NEW.author_id, NEW.id, NEW.created_at FROM turns WHERE id = NEW.turn_id AND question_key <> '';
"""
_REPORT_RATINGS_OF_QUESTION = """
    INSERT OR IGNORE INTO open_reports (question_key, turn_id, person_id, created_at)
    SELECT question_key, turns.id, ratings.person_id, ratings.created_at
    FROM turns JOIN ratings ON ratings.turn_id = turns.id
    WHERE question_key = (SELECT question_key FROM turns WHERE id = NEW.turn_id) AND question_key <> ''
    AND is_good = 0 AND withdrawn_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM corrections WHERE turn_id = turns.id AND (author_id = ratings.person_id OR state = 'approved'));
"""


def _count_reports(row: str) -> str:
    """Return what a trigger does to count the reports of a question anew, `row` being NEW or OLD."""
    return f"""
        DELETE FROM queue_items WHERE question_key = {row}.question_key;
        INSERT INTO queue_items (question_key, reporter_count, correction_count, first_at)
        SELECT question_key, count(DISTINCT person_id), count(correction_id), min(created_at)
        FROM open_reports WHERE question_key = {row}.question_key GROUP BY question_key;
    """  # noqa: S608  no value of anybody's


def _refuse_changes(table: str, why: str) -> tuple[str, str]:
    """Return the triggers that keep a table append-only."""
    return (
        f"CREATE TRIGGER {table}_is_not_updated BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{why}'); END",
        f"CREATE TRIGGER {table}_is_not_deleted BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{why}'); END",
    )


def _run(db: sqlite_utils.Database, *statements: str) -> None:
    """Run statements one by one; `executescript` would commit the transaction around them."""
    for statement in statements:
        db.execute(statement)
