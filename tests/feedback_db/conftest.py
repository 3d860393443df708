"""A memory in a file, people in it, and what they have it learn."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feedback_db import conversations, corrections, examples, people, releases, runs, snapshots
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId, TurnState
from feedback_db.training_records import ExampleId, Release, RunId, RunState, SnapshotId

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REPLY = LoggedReply(
    user_message="where is it?",
    reply="Over there.",
    state=TurnState.COMPLETE,
    error=None,
    version=0,
    sampling={"temperature": 0.0},
    prompt_tokens=12,
    reply_tokens=4,
    first_token_ms=20,
    latency_ms=80,
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "errata.db") as opened:
        yield opened


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def logged() -> LoggedReply:
    return REPLY


@pytest.fixture
def ann(db: Database) -> PersonId:
    return _add_account(db, "ann", Role.END_USER)


@pytest.fixture
def bob(db: Database) -> PersonId:
    return _add_account(db, "bob", Role.REVIEWER)


@pytest.fixture
def cleo(db: Database) -> PersonId:
    return _add_account(db, "cleo", Role.REVIEWER)


@pytest.fixture
def bare_base(db: Database) -> Release:
    with db.write() as tx:
        return releases.add_release(
            tx,
            base="bundled",
            revision="r0",
            quantisation="nf4",
            template_hash="t0",
            system_message="You are Ada.",
            sampling={"temperature": 0.0},
            now=NOW,
        )


@pytest.fixture
def conversation(db: Database, ann: PersonId, bare_base: Release) -> ConversationId:
    with db.write() as tx:
        return conversations.start_conversation(
            tx, ConversationId("c1"), person_id=ann, channel=Channel.WEB, title="Where is it?", now=NOW
        ).id


@pytest.fixture
def turn(db: Database, conversation: ConversationId) -> TurnId:
    with db.write() as tx:
        return conversations.log_turn(tx, TurnId("t1"), conversation_id=conversation, logged=REPLY, now=NOW).id


@pytest.fixture
def consent(db: Database, conversation: ConversationId) -> None:
    """The word of the conversation's owner that it may be trained."""
    with db.write() as tx:
        conversations.record_consent(tx, conversation, given=True, wording="v1", now=NOW)


@pytest.fixture
def add_correction(db: Database, conversation: ConversationId, ann: PersonId) -> Callable[[str], CorrectionId]:
    """Ask a question `q <id>` in the conversation, and correct its reply with `a <id>`."""

    def add(key: str) -> CorrectionId:
        with db.write() as tx:
            said = replace(REPLY, user_message=f"q {key}")
            asked = conversations.log_turn(tx, TurnId(f"turn-{key}"), conversation_id=conversation, logged=said, now=NOW)
            return corrections.add_correction(tx, CorrectionId(key), turn_id=asked.id, corrected_reply=f"a {key}", author=ann, now=NOW).id

    return add


@pytest.fixture
def add_approved(db: Database, add_correction: Callable[[str], CorrectionId], bob: PersonId) -> Callable[[str], CorrectionId]:
    def add(key: str) -> CorrectionId:
        correction = add_correction(key)
        with db.write() as tx:
            corrections.review(tx, correction, Decision.APPROVED, reviewer=bob, now=NOW)
        return correction

    return add


@pytest.fixture
def add_example(db: Database, add_approved: Callable[[str], CorrectionId]) -> Callable[[str], ExampleId]:
    """Make an approved correction an example; it may be trained where `consent` is given, too."""

    def add(key: str) -> ExampleId:
        correction = add_approved(key)
        with db.write() as tx:
            return examples.add_example(tx, correction, messages=[{"role": "user", "content": f"q {key}"}], now=NOW).id

    return add


@pytest.fixture
def take_snapshot(db: Database) -> Callable[..., SnapshotId]:
    def take(key: str, *example_ids: ExampleId) -> SnapshotId:
        hashes = {example_id: f"hash of {example_id}" for example_id in example_ids}
        with db.write() as tx:
            return snapshots.take_snapshot(tx, SnapshotId(key), content_hashes=hashes, now=NOW).id

    return take


@pytest.fixture
def snapshot(consent: None, add_example: Callable[[str], ExampleId], take_snapshot: Callable[..., SnapshotId]) -> SnapshotId:
    """Holds the examples k1 and k2."""
    return take_snapshot("s1", add_example("k1"), add_example("k2"))


@pytest.fixture
def run(db: Database, snapshot: SnapshotId) -> RunId:
    """Queued by the schedule."""
    with db.write() as tx:
        return runs.queue_run(
            tx, RunId("r1"), snapshot_id=snapshot, recipe=json.dumps({}), seed=1, requested_by=None, reason="due", now=NOW
        ).id


@pytest.fixture
def adapted(db: Database, run: RunId) -> Release:
    """The release of a run that succeeded: version 1."""
    with db.write() as tx:
        runs.start_run(tx, run, pid=7, process_started_at=1.5, now=NOW)
        runs.finish_run(tx, run, RunState.SUCCEEDED, now=NOW)
        return releases.add_release(
            tx,
            base="bundled",
            revision="r0",
            quantisation="nf4",
            template_hash="t0",
            system_message=None,
            sampling={},
            run_id=run,
            adapter_hash="h1",
            now=NOW,
        )


def _add_account(db: Database, name: str, role: Role) -> PersonId:
    with db.write() as tx:
        return people.add_account(tx, PersonId(name), name=name, role=role, password_hash="$argon2id$", now=NOW).id
