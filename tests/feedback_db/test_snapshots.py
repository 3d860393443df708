import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from feedback_db import conversations, corrections, examples, snapshots
from feedback_db.database import Database
from feedback_db.errors import EmptySnapshotError, NotFoundError, NotTrainableError
from feedback_db.records import ConversationId, CorrectionId, Decision, PersonId
from feedback_db.training_records import ExampleId, SnapshotId

ADD_MEMBER = "INSERT INTO snapshot_examples (snapshot_id, example_id, content_hash) VALUES (:snapshot_id, :example_id, 'h')"


def refuse(take_snapshot: Callable[..., SnapshotId], *example_ids: str) -> str:
    """Return why a snapshot is refused."""
    with pytest.raises(NotTrainableError) as caught:
        take_snapshot("s9", *example_ids)
    assert f"Found that '{caught.value.example_id}' is {caught.value.obstacle}" in str(caught.value)
    assert "Take the snapshot without it" in str(caught.value)
    return caught.value.obstacle


def test_a_snapshot_keeps_which_examples_it_holds(db: Database, snapshot: SnapshotId, now: datetime) -> None:
    found = snapshots.find_snapshot(db.read(), snapshot)
    assert (found.created_at, found.example_count) == (now, 2)
    assert snapshots.list_content_hashes(db.read(), snapshot) == {"k1": "hash of k1", "k2": "hash of k2"}


def test_the_same_content_again_is_the_same_snapshot(db: Database, snapshot: SnapshotId, now: datetime) -> None:
    with db.write() as tx:
        hashes = snapshots.list_content_hashes(tx, snapshot)
        again = snapshots.take_snapshot(tx, snapshot, content_hashes=hashes, now=now + timedelta(days=1))
    assert again.created_at == now


def test_an_unknown_snapshot_is_not_found(db: Database) -> None:
    with pytest.raises(NotFoundError, match="a snapshot 'nowhere'"):
        snapshots.find_snapshot(db.read(), SnapshotId("nowhere"))


def test_a_snapshot_of_nothing_is_refused(take_snapshot: Callable[..., SnapshotId]) -> None:
    with pytest.raises(EmptySnapshotError, match="Approve a correction first"):
        take_snapshot("s1")


def test_a_pending_correction_is_never_trained(
    consent: None, add_correction: Callable[[str], CorrectionId], take_snapshot: Callable[..., SnapshotId]
) -> None:
    assert refuse(take_snapshot, add_correction("k1")) == "pending"


def test_a_rejected_correction_is_never_trained(
    db: Database,
    consent: None,
    bob: PersonId,
    add_correction: Callable[[str], CorrectionId],
    take_snapshot: Callable[..., SnapshotId],
    now: datetime,
) -> None:
    correction = add_correction("k1")
    with db.write() as tx:
        corrections.review(tx, correction, Decision.REJECTED, reviewer=bob, now=now)
    assert refuse(take_snapshot, correction) == "rejected"


def test_a_correction_whose_approval_was_withdrawn_is_never_trained(
    db: Database,
    consent: None,
    bob: PersonId,
    add_example: Callable[[str], ExampleId],
    take_snapshot: Callable[..., SnapshotId],
    now: datetime,
) -> None:
    example = add_example("k1")
    with db.write() as tx:
        review = tx.execute("SELECT id FROM reviews").fetchone()["id"]
        corrections.withdraw_review(tx, review, reviewer=bob, now=now)
    assert refuse(take_snapshot, example) == "withdrawn"


def test_a_retired_example_is_never_trained(
    db: Database, consent: None, add_example: Callable[[str], ExampleId], take_snapshot: Callable[..., SnapshotId], now: datetime
) -> None:
    older, newer = add_example("k1"), add_example("k2")
    with db.write() as tx:
        examples.retire(tx, older, superseded_by=newer, now=now)
    assert refuse(take_snapshot, newer, older) == "retired"


def test_an_example_nobody_was_asked_about_is_never_trained(
    add_example: Callable[[str], ExampleId], take_snapshot: Callable[..., SnapshotId]
) -> None:
    assert refuse(take_snapshot, add_example("k1")) == "unconsented"


def test_an_example_whose_consent_was_taken_back_is_never_trained_again(
    db: Database, conversation: ConversationId, snapshot: SnapshotId, take_snapshot: Callable[..., SnapshotId], now: datetime
) -> None:
    with db.write() as tx:
        conversations.record_consent(tx, conversation, given=False, wording="v1", now=now)
    assert refuse(take_snapshot, "k1") == "unconsented"
    with pytest.raises(NotTrainableError, match="'k1' is unconsented"):
        take_snapshot(snapshot, "k1", "k2")


def test_what_is_no_example_is_never_trained(add_approved: Callable[[str], CorrectionId], take_snapshot: Callable[..., SnapshotId]) -> None:
    assert refuse(take_snapshot, add_approved("k1")) == "missing"
    assert refuse(take_snapshot, "nowhere") == "missing"


def test_a_refused_snapshot_leaves_nothing(
    db: Database, consent: None, add_example: Callable[[str], ExampleId], take_snapshot: Callable[..., SnapshotId]
) -> None:
    refuse(take_snapshot, add_example("k1"), "nowhere")
    assert snapshots.list_content_hashes(db.read(), SnapshotId("s9")) == {}


def test_the_database_itself_refuses_what_may_not_be_trained(db: Database, add_example: Callable[[str], ExampleId]) -> None:
    for example in (add_example("k1"), "nowhere"):
        with pytest.raises(sqlite3.IntegrityError, match="only what may be trained"), db.write() as tx:
            tx.execute(ADD_MEMBER, {"snapshot_id": "s1", "example_id": example})


def test_nothing_joins_a_snapshot_that_is_taken(db: Database, snapshot: SnapshotId, add_example: Callable[[str], ExampleId]) -> None:
    example = add_example("k3")
    with pytest.raises(sqlite3.IntegrityError, match="a snapshot is immutable"), db.write() as tx:
        tx.execute(ADD_MEMBER, {"snapshot_id": snapshot, "example_id": example})


def test_a_snapshot_counts_its_examples(db: Database, consent: None, add_example: Callable[[str], ExampleId]) -> None:
    add_example("k1")
    with pytest.raises(sqlite3.IntegrityError, match="counts its examples"), db.write() as tx:
        tx.execute("INSERT INTO snapshots (id, created_at, example_count) VALUES ('s1', '2026', 1)")


def test_examples_without_their_snapshot_are_not_committed(db: Database, consent: None, add_example: Callable[[str], ExampleId]) -> None:
    example = add_example("k1")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), db.write() as tx:
        tx.execute(ADD_MEMBER, {"snapshot_id": "s1", "example_id": example})
    assert snapshots.list_content_hashes(db.read(), SnapshotId("s1")) == {}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE snapshots SET created_at = '2027'",
        "DELETE FROM snapshots",
        "UPDATE snapshot_examples SET content_hash = 'x'",
        "DELETE FROM snapshot_examples",
    ],
)
def test_a_snapshot_is_immutable(db: Database, snapshot: SnapshotId, sql: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="a snapshot is immutable"), db.write() as tx:
        tx.execute(sql)
