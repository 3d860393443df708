"""A memory in a file, and people in it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feedback_db import conversations, people
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database
from feedback_db.records import Channel, ConversationId, PersonId, Role, TurnId, TurnState

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
def conversation(db: Database, ann: PersonId) -> ConversationId:
    with db.write() as tx:
        return conversations.start_conversation(
            tx, ConversationId("c1"), person_id=ann, channel=Channel.WEB, title="Where is it?", now=NOW
        ).id


@pytest.fixture
def turn(db: Database, conversation: ConversationId) -> TurnId:
    with db.write() as tx:
        return conversations.log_turn(tx, TurnId("t1"), conversation_id=conversation, logged=REPLY, now=NOW).id


def _add_account(db: Database, name: str, role: Role) -> PersonId:
    with db.write() as tx:
        return people.add_account(tx, PersonId(name), name=name, role=role, password_hash="$argon2id$", now=NOW).id
