from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from feedback_db import conversations, corrections, erasure, examples, lineage
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database
from feedback_db.errors import NotFoundError
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, TurnId
from feedback_db.training_records import ExampleId, Release, RunId, SnapshotId, Split


@pytest.fixture
def learned_turn(db: Database, adapted: Release, conversation: ConversationId, logged: LoggedReply, now: datetime) -> TurnId:
    """A reply by the release that learned k1 and k2."""
    with db.write() as tx:
        said = replace(logged, version=adapted.version)
        return conversations.log_turn(tx, TurnId("learned"), conversation_id=conversation, logged=said, now=now).id


def test_a_reply_leads_back_to_the_turns_that_were_corrected(
    db: Database, learned_turn: TurnId, ann: PersonId, bob: PersonId, adapted: Release
) -> None:
    first, second = lineage.trace_turn(db.read(), learned_turn)
    assert (first.version, first.run_id, first.snapshot_id) == (adapted.version, "r1", "s1")
    assert (first.example_id, first.correction_id, first.author_id, first.corrected_turn_id) == ("k1", "k1", ann, "turn-k1")
    assert first.reviewer_id == bob
    row = db.read().execute("SELECT correction_id FROM reviews WHERE id = :id", {"id": first.review_id}).fetchone()
    assert row["correction_id"] == "k1"
    assert (second.example_id, second.corrected_turn_id) == ("k2", "turn-k2")


def test_each_approval_that_stands_is_a_way_back(
    db: Database,
    consent: None,
    ann: PersonId,
    bob: PersonId,
    cleo: PersonId,
    add_example: Callable[[str], ExampleId],
    add_correction: Callable[[str], CorrectionId],
    take_snapshot: Callable[..., SnapshotId],
    now: datetime,
) -> None:
    correction = add_correction("two")
    with db.write() as tx:
        for reviewer in (bob, cleo):
            corrections.review(tx, correction, Decision.APPROVED, reviewer=reviewer, approvals_required=2, now=now)
        tx.execute(
            """
            INSERT INTO examples (correction_id, turn_id, conversation_id, messages, reply, created_at)
            VALUES ('two', 'turn-two', 'c1', '[{"role": "user", "content": "q"}]', 'a', '2026')
            """
        )
    take_snapshot("s1", correction)
    with db.write() as tx:
        tx.execute("INSERT INTO runs (id, snapshot_id, recipe, seed, reason, created_at) VALUES ('r1', 's1', '{}', 1, '', '2026')")
        tx.execute("INSERT INTO releases VALUES (1, 'b', 'r', 'q', 't', NULL, '{}', 'r1', 'h', '2026')")
        tx.execute("UPDATE turns SET version = 1 WHERE id = 'turn-two'")
    assert [found.reviewer_id for found in lineage.trace_turn(db.read(), TurnId("turn-two"))] == [bob, cleo]


def test_a_reply_of_the_bare_base_leads_back_to_its_release_only(db: Database, turn: TurnId) -> None:
    (found,) = lineage.trace_turn(db.read(), turn)
    assert found == lineage.Ancestor(
        version=0,
        run_id=None,
        snapshot_id=None,
        example_id=None,
        review_id=None,
        reviewer_id=None,
        correction_id=None,
        author_id=None,
        corrected_turn_id=None,
    )


def test_what_was_erased_is_named_by_its_id_alone(db: Database, learned_turn: TurnId, now: datetime) -> None:
    with db.write() as tx:
        tx.execute("DELETE FROM turns WHERE id = 'turn-k1'")
    first, second = lineage.trace_turn(db.read(), learned_turn)
    assert (first.example_id, first.correction_id, first.review_id, first.corrected_turn_id) == ("k1", None, None, None)
    assert (second.example_id, second.correction_id) == ("k2", "k2")


def test_an_unknown_turn_has_no_ancestors(db: Database) -> None:
    with pytest.raises(NotFoundError, match="a turn 'nowhere'"):
        lineage.trace_turn(db.read(), TurnId("nowhere"))


def test_an_example_leads_on_to_what_learned_from_it(
    db: Database, adapted: Release, add_example: Callable[[str], ExampleId], take_snapshot: Callable[..., SnapshotId]
) -> None:
    take_snapshot("s2", ExampleId("k1"), add_example("k3"))
    found = lineage.find_descendants(db.read(), [ExampleId("k1"), ExampleId("k2")])
    assert found == lineage.Descendants(snapshot_ids=(SnapshotId("s1"), SnapshotId("s2")), run_ids=(RunId("r1"),), versions=(1,))


def test_what_nothing_learned_from_leads_nowhere(db: Database) -> None:
    found = lineage.find_descendants(db.read(), [ExampleId("k1")])
    assert found == lineage.Descendants(snapshot_ids=(), run_ids=(), versions=())


def test_an_erased_example_leads_on_still(db: Database, adapted: Release, conversation: ConversationId, now: datetime) -> None:
    with db.write() as tx:
        erasure.erase_conversation(tx, conversation, now=now)
    assert lineage.find_descendants(db.read(), [ExampleId("k2")]).versions == (1,)


def test_a_conversation_leads_on_to_what_learned_its_examples_or_its_wordings(
    db: Database,
    adapted: Release,
    bob: PersonId,
    conversation: ConversationId,
    logged: LoggedReply,
    add_example: Callable[[str], ExampleId],
    take_snapshot: Callable[..., SnapshotId],
    now: datetime,
) -> None:
    other = ConversationId("c2")
    with db.write() as tx:
        conversations.start_conversation(tx, other, person_id=bob, channel=Channel.WEB, title="", now=now)
        asked = conversations.log_turn(tx, TurnId("t2"), conversation_id=other, logged=logged, now=now)
    assert lineage.find_descendants_of_conversation(db.read(), other).versions == ()
    with db.write() as tx:
        examples.add_variant(tx, CorrectionId("k1"), text="where?", split=Split.TRAIN, turn_id=asked.id, now=now)
    take_snapshot("s2", add_example("k3"))
    found = lineage.find_descendants_of_conversation(db.read(), conversation)
    assert (found.snapshot_ids, found.versions) == (("s1", "s2"), (1,))
    found = lineage.find_descendants_of_conversation(db.read(), other)
    assert (found.snapshot_ids, found.versions) == (("s1",), (1,)), "its wording is trained with somebody else's example"
