"""From a reply back to the turns that it was learned from, and from examples on to the releases that learned them."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from feedback_db.database import Reader
from feedback_db.errors import NotFoundError
from feedback_db.records import ConversationId, CorrectionId, PersonId, ReviewId, TurnId
from feedback_db.training_records import ExampleId, RunId, SnapshotId

TRACE_TURN = """
    SELECT releases.version, runs.id AS run_id, runs.snapshot_id, snapshot_examples.example_id,
           reviews.id AS review_id, reviews.reviewer_id, corrections.id AS correction_id, corrections.author_id,
           corrected.id AS corrected_turn_id
    FROM turns
    JOIN releases ON releases.version = turns.version
    LEFT JOIN runs ON runs.id = releases.run_id
    LEFT JOIN snapshot_examples ON snapshot_examples.snapshot_id = runs.snapshot_id
    LEFT JOIN examples ON examples.correction_id = snapshot_examples.example_id
    LEFT JOIN corrections ON corrections.id = examples.correction_id
    LEFT JOIN reviews ON reviews.correction_id = corrections.id AND reviews.decision = 'approved' AND reviews.withdrawn_at IS NULL
    LEFT JOIN turns AS corrected ON corrected.id = corrections.turn_id
    WHERE turns.id = :turn_id
    ORDER BY snapshot_examples.example_id, reviews.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """One way back from a reply: its release, the run, an example of the snapshot, an approval of it, the turn that was corrected.

    The run and all behind it are None for a release without an adapter; the correction and all behind it are None once erased.
    """

    version: int
    run_id: RunId | None
    snapshot_id: SnapshotId | None
    example_id: ExampleId | None
    review_id: ReviewId | None
    reviewer_id: PersonId | None
    correction_id: CorrectionId | None
    author_id: PersonId | None
    corrected_turn_id: TurnId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Descendants:
    """What holds, or has learned from, given examples: snapshots, runs on them, releases by number."""

    snapshot_ids: tuple[SnapshotId, ...]
    run_ids: tuple[RunId, ...]
    versions: tuple[int, ...]


def trace_turn(reader: Reader, turn_id: TurnId) -> list[Ancestor]:
    """Return all that a reply was learned from, one row an approval, in the order of the examples.

    Raises:
        NotFoundError: there is no such turn.
    """
    rows = reader.execute(TRACE_TURN, {"turn_id": turn_id}).fetchall()
    if not rows:
        raise NotFoundError("a turn", turn_id)
    return [_to_ancestor(row) for row in rows]


def find_descendants(reader: Reader, example_ids: Iterable[ExampleId]) -> Descendants:
    """Return what holds any of the examples, whether they are there still or erased."""
    rows = reader.execute(
        """
        SELECT snapshot_examples.snapshot_id, runs.id AS run_id, version
        FROM snapshot_examples
        LEFT JOIN runs ON runs.snapshot_id = snapshot_examples.snapshot_id
        LEFT JOIN releases ON releases.run_id = runs.id
        WHERE example_id IN (SELECT value FROM json_each(:ids))
        """,
        {"ids": json.dumps(list(example_ids))},
    ).fetchall()
    return Descendants(
        snapshot_ids=tuple(sorted({SnapshotId(row["snapshot_id"]) for row in rows})),
        run_ids=tuple(sorted({RunId(row["run_id"]) for row in rows if row["run_id"] is not None})),
        versions=tuple(sorted({int(row["version"]) for row in rows if row["version"] is not None})),
    )


def find_descendants_of_conversation(reader: Reader, conversation_id: ConversationId) -> Descendants:
    """Return what holds an example of a conversation, or one with a wording from it; of a conversation that is there still."""
    rows = reader.execute(
        """
        SELECT correction_id FROM examples WHERE conversation_id = :id
        UNION SELECT correction_id FROM variants JOIN turns ON turns.id = turn_id WHERE conversation_id = :id
        """,
        {"id": conversation_id},
    )
    return find_descendants(reader, [ExampleId(row["correction_id"]) for row in rows])


def _to_ancestor(row: sqlite3.Row) -> Ancestor:
    return Ancestor(
        version=row["version"],
        run_id=row["run_id"],
        snapshot_id=row["snapshot_id"],
        example_id=row["example_id"],
        review_id=row["review_id"],
        reviewer_id=row["reviewer_id"],
        correction_id=row["correction_id"],
        author_id=row["author_id"],
        corrected_turn_id=row["corrected_turn_id"],
    )
