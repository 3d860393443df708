from collections.abc import Iterator
from pathlib import Path

import pytest

from feedback_db import conversations, examples
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.records import Channel, ConversationId, CorrectionId, TurnId
from feedback_db.training_records import ExampleId, Split
from tests.trainer.supervision.supervising import ANN, BOB, NOW, approve, approve_all, open_world, say, serve
from trainer.supervision.intake import merge_wordings, settle_contradictions, take_in

OLD = ("how long can I return something", "You can return products within 14 days.")
NEW = ("until when may I send it back", "You can return products within 30 days.")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "audit.key", tmp_path / "audit.head")


def list_ids(db: Database) -> list[str]:
    return [example.id for example in examples.list_examples(db.read())]


def test_approved_corrections_become_examples_once(db: Database, audit: Audit) -> None:
    approve_all(db)
    take_in(db, audit, serve(), now=NOW)
    take_in(db, audit, serve(), now=NOW)
    assert list_ids(db) == ["k0", "k1"]
    actions = [row["action"] for row in db.read().execute("SELECT action FROM audit")]
    assert actions == ["deploy", "add_example", "add_example"]


def test_an_example_holds_what_was_served_with_earlier_replies_corrected(db: Database, audit: Audit) -> None:
    approve_all(db)
    take_in(db, audit, serve(), now=NOW)
    texts = [message["content"] for message in examples.find_example(db.read(), ExampleId("k1")).messages]
    assert texts == ["You are Ada.", "how long is the warranty", "It is 3 years.", "how do I reach sales"]


def test_history_that_does_not_fit_is_left_out_by_whole_turns(db: Database, audit: Audit) -> None:
    approve_all(db)
    take_in(db, audit, serve(context_tokens=40), now=NOW)
    texts = [message["content"] for message in examples.find_example(db.read(), ExampleId("k1")).messages]
    assert texts == ["You are Ada.", "how do I reach sales"]


def test_an_example_inherits_the_wordings_of_those_that_it_replaces(db: Database, audit: Audit) -> None:
    approve(db, "old1", *OLD)
    with db.write() as tx:
        for text in ("return window?", NEW[0].upper()):
            examples.add_variant(tx, CorrectionId("old1"), text=text, split=Split.TEST, added_by=BOB, now=NOW)
    take_in(db, audit, serve(), now=NOW)
    with db.write() as tx:
        conversations.start_conversation(tx, ConversationId("c2"), person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
        conversations.record_consent(tx, ConversationId("c2"), given=True, wording="v1", now=NOW)
    approve(db, "new", *NEW, conversation="c2")
    take_in(db, audit, serve(), now=NOW)
    found = examples.list_variants(db.read(), CorrectionId("new"))
    old = examples.find_example(db.read(), ExampleId("old1"))
    assert [(variant.text, variant.turn_id, variant.added_by) for variant in found] == [
        (OLD[0], old.turn_id, None),
        ("return window?", None, BOB),
    ]


def test_the_newer_of_two_approved_in_one_go_wins(db: Database, audit: Audit) -> None:
    approve(db, "b-old", *OLD)
    approve(db, "a-new", *NEW)
    take_in(db, audit, serve(), now=NOW)
    assert list_ids(db) == ["a-new"]


def test_an_old_example_that_gets_its_consent_late_yields_to_the_newer_one(db: Database, audit: Audit) -> None:
    with db.write() as tx:
        conversations.start_conversation(tx, ConversationId("c2"), person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
    approve(db, "a-old", *OLD, conversation="c2")
    approve(db, "b-new", *NEW)
    take_in(db, audit, serve(), now=NOW)
    with db.write() as tx:
        conversations.record_consent(tx, ConversationId("c2"), given=True, wording="v1", now=NOW)
    assert list_ids(db) == ["a-old", "b-new"]
    settle_contradictions(db, audit, now=NOW)
    assert list_ids(db) == ["b-new"]
    assert audit.find_fault(db.read()) is not None  # the head is published by whoever ticks
    audit.publish_head(db)
    assert audit.find_fault(db.read()) is None


def log_question(db: Database, key: str, question: str, *, consent: bool = True) -> None:
    """Somebody else asks a question first in a conversation of their own."""
    with db.write() as tx:
        conversations.start_conversation(tx, ConversationId(key), person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
        conversations.record_consent(tx, ConversationId(key), given=consent, wording="v1", now=NOW)
        conversations.log_turn(tx, TurnId(key), conversation_id=ConversationId(key), logged=say(question), now=NOW)


def list_merged(db: Database) -> list[str]:
    return [variant.text for variant in examples.list_variants(db.read(), CorrectionId("k0"))]


def test_how_others_have_asked_the_same_becomes_a_wording_once(db: Database, audit: Audit) -> None:
    approve(db, "k0", "how long is the warranty on a kettle", "It is 3 years.")
    take_in(db, audit, serve(), now=NOW)
    log_question(db, "c7", "hello, how long is the warranty on a kettle?")
    log_question(db, "c6", "how long is the warranty on a copper kettle?")
    log_question(db, "c8", "how do I reach sales")
    log_question(db, "c9", "how long is the warranty on my kettle", consent=False)
    for _ in range(2):
        merge_wordings(db, now=NOW)
    assert list_merged(db) == ["hello, how long is the warranty on a kettle?"]


def test_a_question_that_everybody_asks_brings_some_wordings_and_not_all(db: Database, audit: Audit) -> None:
    approve(db, "k0", "how long is the warranty on a kettle", "It is 3 years.")
    take_in(db, audit, serve(), now=NOW)
    for number in range(12):
        log_question(db, f"c{number + 10}", f"how long is the warranty on a kettle{'?' * (number + 1)}")
    for _ in range(2):
        merge_wordings(db, now=NOW)
    assert len(list_merged(db)) == 8


def test_an_example_with_a_history_takes_no_wording_from_another_conversation(db: Database, audit: Audit) -> None:
    approve(db, "k", "do you sell kettles", "Yes, we sell kettles.")
    approve(db, "k0", "and how long is the warranty on it", "It is 3 years.")
    take_in(db, audit, serve(), now=NOW)
    log_question(db, "c7", "and how long is the warranty on it?")
    merge_wordings(db, now=NOW)
    assert list_merged(db) == []


def test_what_may_not_be_trained_retires_nothing_that_may(db: Database, audit: Audit) -> None:
    with db.write() as tx:
        conversations.start_conversation(tx, ConversationId("c2"), person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
    approve(db, "a-old", *OLD)
    approve(db, "b-new", *NEW, conversation="c2")
    take_in(db, audit, serve(), now=NOW)
    assert list_ids(db) == ["a-old"]
