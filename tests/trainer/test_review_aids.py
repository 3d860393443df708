"""What a reviewer is told of the guard set."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from feedback_db import conversations, releases, runs, unwatched
from feedback_db.database import Database
from feedback_db.questions import name_question
from feedback_db.records import Channel, ConversationId, CorrectionId, TurnId
from feedback_db.reports import Asked, Report, Suite, write_report
from feedback_db.training_records import Relation, RequestKind, Split
from tests.auditing import open_audit
from tests.logged_replies import make_logged_reply
from tests.trainer.supervision.supervising import ANN, BOB, NOW, approve_all, ask, has_ended, make_supervisor, open_world, tick_until
from trainer.review_aids import MemoryAids
from trainer.variants import assign_split

OLD = ("how long can I return a lamp", "You can return it within 14 days.", "You can return it within 30 days.")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_world(tmp_path) as opened:
        yield opened


def say(db: Database, key: str, question: str, reply: str) -> None:
    """Have a question asked first in a conversation that may be learned from."""
    with db.write() as tx:
        conversations.start_conversation(tx, ConversationId(key), person_id=ANN, channel=Channel.WEB, title=question, now=NOW)
        conversations.record_consent(tx, ConversationId(key), given=True, wording="v1", now=NOW)
        logged = make_logged_reply(question, reply)
        conversations.log_turn(tx, TurnId(key), conversation_id=ConversationId(key), logged=logged, now=NOW)


def list_watched(db: Database) -> list[tuple[str, str, Relation]]:
    return [(one.question, one.reply, one.relation) for one in MemoryAids(db).list_watched(*OLD)]


def find_watched(pattern: str) -> str:
    """Return a question that a hash of its words makes one of the guard set."""
    return next(text for number in range(99) if assign_split("guard", text := pattern.format(number)) is not Split.TRAIN)


def test_real_questions_whose_replies_state_the_old_fact_are_told(db: Database) -> None:
    old, other = find_watched("may I swap gift number{}"), find_watched("where is shop number{}")
    say(db, "t1", old, "Yes, within 14 days.")
    say(db, "t2", other, "At 7 High Street.")
    say(db, "t3", OLD[0], OLD[1])  # asks the very question: no run watches it
    assert list_watched(db) == [(old, "Yes, within 14 days.", Relation.OLD_FACT)]
    key = name_question(old) or ""
    assert MemoryAids(db).is_watched(key)
    approve_all(db)
    with db.write() as tx:
        unwatched.stop_watching(tx, key, correction_id=CorrectionId("k0"), person_id=BOB, now=NOW)
    assert list_watched(db) == []
    assert not MemoryAids(db).is_watched(key)


def test_default_questions_are_told_by_what_the_live_release_answered_last(db: Database) -> None:
    approve_all(db)
    ask(db, RequestKind.TRAIN)
    supervisor = make_supervisor(db)
    tick_until(supervisor, lambda: has_ended(db))
    (run,) = runs.list_runs(db.read())
    asked = Asked(
        suite=Suite.UNTOUCHED,
        example_id=None,
        question="can I swap a gift",
        expected="?",
        before="Yes, within 14 days.",
        after="Yes, within 21 days.",
        is_right_before=True,
        is_right_after=True,
    )
    with db.write() as tx:
        tx.execute("UPDATE reports SET report = :report", {"report": write_report(Report(run_id=run.id, items=(asked,)))})
    live = releases.find_live(db.read())
    assert live is not None
    assert live[1].run_id == run.id
    assert list_watched(db) == []
    with db.write() as tx:
        releases.deploy(tx, open_audit(db), 0, actor=None, reason="back", now=NOW)
    assert list_watched(db) == [("can I swap a gift", "Yes, within 14 days.", Relation.OLD_FACT)]
