"""What became of a person's own corrections, and their word on whether that has made it better. Knows no other person's."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from feedback_db.database import Reader, Transaction, find_row, store_time
from feedback_db.records import ConversationId, CorrectionId, CorrectionState, PersonId, TurnId

# A correction is fixed by the first release that has served, was trained on it, and answers all its questions right; and only as long as
# the release that serves now was trained on it, too: after a rollback nothing is fixed.
_TELL = """
    WITH learned AS (
        SELECT example_id, version FROM snapshot_examples
        JOIN runs ON runs.snapshot_id = snapshot_examples.snapshot_id
        JOIN releases ON releases.run_id = runs.id
        JOIN reports ON reports.run_id = runs.id
        WHERE EXISTS (SELECT 1 FROM swaps WHERE swaps.version = releases.version AND outcome = 'served')
        AND NOT EXISTS (
            SELECT 1 FROM json_each(report, '$.items') AS asked
            WHERE asked.value ->> 'example_id' = snapshot_examples.example_id
            AND asked.value ->> 'suite' IN ('learned', 'as_asked') AND NOT asked.value ->> 'is_right_after'
        )
    )
    SELECT corrections.id, turn_id, corrected_reply, corrections.state, is_better, CASE
        WHEN EXISTS (SELECT 1 FROM learned WHERE example_id = corrections.id AND version = :served)
        THEN (SELECT min(version) FROM learned WHERE example_id = corrections.id)
    END AS fixed_in
    FROM corrections JOIN turns ON turns.id = turn_id LEFT JOIN fix_votes ON fix_votes.correction_id = corrections.id
    WHERE conversation_id = :conversation_id AND corrections.author_id = :author
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """What became of one's own correction: `fixed_in` is the release that has learned it, None while none serves that has.

    `is_better` is the author's word on that, None until given.
    """

    correction_id: CorrectionId
    turn_id: TurnId
    corrected_reply: str
    state: CorrectionState
    fixed_in: int | None
    is_better: bool | None


def list_fixes(reader: Reader, conversation_id: ConversationId, *, author: PersonId, served: int | None) -> list[Fix]:
    """Return what became of a person's corrections in a conversation, the oldest first; `served` is the release that answers now."""
    sql = f"{_TELL} ORDER BY corrections.created_at, corrections.id"
    rows = reader.execute(sql, {"conversation_id": conversation_id, "author": author, "served": served})
    return [_to_fix(row) for row in rows]


def vote(tx: Transaction, correction_id: CorrectionId, *, author: PersonId, version: int, is_better: bool, now: datetime) -> None:
    """Record whether a release that has learned one's own correction answers better; a later word replaces an earlier one.

    Raises:
        NotFoundError: there is no such correction, or it is somebody else's.
    """
    found = find_row(
        tx,
        "SELECT id FROM corrections WHERE id = :id AND author_id = :author",
        {"id": correction_id, "author": author},
        kind="a correction",
    )
    tx.execute(
        """
        INSERT INTO fix_votes (correction_id, author_id, version, is_better, created_at)
        VALUES (:id, :author, :version, :is_better, :now)
        ON CONFLICT (correction_id)
        DO UPDATE SET version = excluded.version, is_better = excluded.is_better, created_at = excluded.created_at
        """,
        {"id": found["id"], "author": author, "version": version, "is_better": is_better, "now": store_time(now)},
    )


def _to_fix(row: sqlite3.Row) -> Fix:
    return Fix(
        correction_id=CorrectionId(row["id"]),
        turn_id=TurnId(row["turn_id"]),
        corrected_reply=row["corrected_reply"],
        state=CorrectionState(row["state"]),
        fixed_in=row["fixed_in"],
        is_better=None if row["is_better"] is None else bool(row["is_better"]),
    )
