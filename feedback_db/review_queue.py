"""What waits for a reviewer: one item a question, for all who report it; whoever takes an item has it alone for some minutes.

The most useful comes first: questions with a correction before those that were only disliked, then what most people report, then the
oldest. The database counts the reports itself (see the migration), so a page takes as long with a million turns as with ten.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from feedback_db import corrections
from feedback_db.database import Reader, Transaction, find_row, read_time, store_time
from feedback_db.errors import ItemLeftError, ItemTakenError, NotFoundError
from feedback_db.records import Correction, CorrectionId, Decision, PersonId, Review, TurnId

CLAIM_LASTS = timedelta(minutes=5)
_SKIP_LASTS = timedelta(hours=12)
_LIST = """
    SELECT queue_items.*, (
        SELECT user_message FROM open_reports JOIN turns ON turns.id = turn_id
        WHERE open_reports.question_key = queue_items.question_key ORDER BY open_reports.id LIMIT 1
    ) AS question
    FROM queue_items
    WHERE EXISTS (  -- somebody else's report, and not one that waits only for a second reviewer
        SELECT 1 FROM open_reports
        WHERE open_reports.question_key = queue_items.question_key AND person_id <> :reviewer AND (
            correction_id IS NULL OR NOT EXISTS (
                SELECT 1 FROM reviews
                WHERE reviews.correction_id = open_reports.correction_id AND reviewer_id = :reviewer AND withdrawn_at IS NULL
            )
        )
    )
    AND NOT EXISTS (
        SELECT 1 FROM claims
        WHERE claims.question_key = queue_items.question_key AND reviewer_id <> :reviewer AND claimed_until > :now
    )
    AND :is_skipped = EXISTS (
        SELECT 1 FROM skips
        WHERE skips.question_key = queue_items.question_key AND reviewer_id = :reviewer AND skipped_at > :skipped_since
    )
    ORDER BY correction_count = 0, reporter_count DESC, first_at, queue_items.question_key LIMIT :limit
"""

_DISLIKED = "FROM open_reports WHERE question_key = :key AND correction_id IS NULL AND person_id <> :reviewer"

QuestionKey = NewType("QuestionKey", str)
DismissalId = NewType("DismissalId", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """A question that `reporter_count` people report; `correction_count` corrections of it wait. `question` is its oldest wording."""

    question_key: QuestionKey
    question: str
    reporter_count: int
    correction_count: int
    first_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReport:
    """One person's report of a turn; `correction_id` is None where it was only disliked, `reason` and `comment` are their rating's."""

    turn_id: TurnId
    person_id: PersonId
    correction_id: CorrectionId | None
    reason: str
    comment: str
    created_at: datetime


def list_items(reader: Reader, *, reviewer: PersonId, now: datetime, limit: int = 50) -> list[QueueItem]:
    """Return what a reviewer may take, the most useful first; what others have taken is left out, what was skipped comes last."""
    told = {"reviewer": reviewer, "now": store_time(now), "skipped_since": store_time(now - _SKIP_LASTS)}
    found: list[sqlite3.Row] = []
    for is_skipped in (False, True):
        if len(found) < limit:
            found += reader.execute(_LIST, {**told, "is_skipped": is_skipped, "limit": limit - len(found)})
    return [_to_item(row) for row in found]


def find_item(reader: Reader, question_key: QuestionKey) -> QueueItem:
    """Return an item.

    Raises:
        NotFoundError: nobody reports this question any more.
    """
    sql = """
        SELECT queue_items.*, (
            SELECT user_message FROM open_reports JOIN turns ON turns.id = turn_id
            WHERE open_reports.question_key = queue_items.question_key ORDER BY open_reports.id LIMIT 1
        ) AS question FROM queue_items WHERE question_key = :key
    """
    return _to_item(find_row(reader, sql, {"key": question_key}, kind="an item of the queue"))


def find_key(reader: Reader, turn_id: TurnId) -> QuestionKey:
    """Return the key of the question that a turn asks.

    Raises:
        NotFoundError: there is no such turn.
    """
    return QuestionKey(find_row(reader, "SELECT question_key FROM turns WHERE id = :id", {"id": turn_id}, kind="a turn")["question_key"])


def count_new(reader: Reader, *, reviewer: PersonId, since: datetime) -> int:
    """Return how many questions others have begun to report since a moment."""
    row = reader.execute(
        """
        SELECT count(*) FROM queue_items WHERE first_at > :since AND EXISTS (
            SELECT 1 FROM open_reports WHERE open_reports.question_key = queue_items.question_key AND person_id <> :reviewer
        )
        """,
        {"reviewer": reviewer, "since": store_time(since)},
    ).fetchone()
    return int(row[0])


def count_items(reader: Reader) -> int:
    """Return how many questions wait for a reviewer."""
    return int(reader.execute("SELECT count(*) FROM queue_items").fetchone()[0])


def claim(tx: Transaction, question_key: QuestionKey, *, reviewer: PersonId, now: datetime) -> None:
    """Take an item for some minutes, or go on having it; other items of this reviewer are free again.

    Raises:
        NotFoundError: it does not wait (any more), or not for this reviewer.
        ItemTakenError: another reviewer has it.
    """
    told = {"reviewer": reviewer, "key": question_key, "until": store_time(now + CLAIM_LASTS)}
    if tx.execute("SELECT 1 FROM open_reports WHERE question_key = :key AND person_id <> :reviewer", told).fetchone() is None:
        raise NotFoundError("an item of the queue", question_key)
    if find_claimant(tx, question_key, now=now) not in {None, reviewer}:
        raise ItemTakenError
    tx.execute("DELETE FROM claims WHERE reviewer_id = :reviewer OR question_key = :key", told)
    tx.execute("INSERT INTO claims (question_key, reviewer_id, claimed_until) VALUES (:key, :reviewer, :until)", told)


def renew(tx: Transaction, question_key: QuestionKey, *, reviewer: PersonId, now: datetime) -> None:
    """Go on having an item, for some minutes more.

    Raises:
        NotFoundError: it does not wait any more.
        ItemTakenError: another reviewer has it.
        ItemLeftError: this reviewer has opened another one since.
    """
    sql = "SELECT 1 FROM claims WHERE reviewer_id = :reviewer AND question_key <> :key AND claimed_until > :now"
    has_another = tx.execute(sql, {"reviewer": reviewer, "key": question_key, "now": store_time(now)}).fetchone() is not None
    if has_another and find_claimant(tx, question_key, now=now) in {None, reviewer}:
        raise ItemLeftError
    claim(tx, question_key, reviewer=reviewer, now=now)


def claim_next(tx: Transaction, *, reviewer: PersonId, now: datetime) -> QueueItem | None:
    """Take the most useful item that is free; None where nothing waits for this reviewer."""
    found = next(iter(list_items(tx, reviewer=reviewer, now=now, limit=1)), None)
    if found is not None:
        claim(tx, found.question_key, reviewer=reviewer, now=now)
    return found


def find_claimant(reader: Reader, question_key: QuestionKey, *, now: datetime) -> PersonId | None:
    """Return who has an item, None if nobody has."""
    row = reader.execute(
        "SELECT reviewer_id FROM claims WHERE question_key = :key AND claimed_until > :now", {"key": question_key, "now": store_time(now)}
    ).fetchone()
    return None if row is None else PersonId(row["reviewer_id"])


def release_claims(tx: Transaction, *, reviewer: PersonId) -> None:
    """Let others have what this reviewer has taken."""
    tx.execute("DELETE FROM claims WHERE reviewer_id = :reviewer", {"reviewer": reviewer})


def skip(tx: Transaction, question_key: QuestionKey, *, reviewer: PersonId, now: datetime) -> None:
    """Put an item behind all others for this reviewer, for half a day, and let others have it."""
    told = {"key": question_key, "reviewer": reviewer, "now": store_time(now)}
    tx.execute("DELETE FROM claims WHERE question_key = :key AND reviewer_id = :reviewer", told)
    tx.execute("INSERT OR REPLACE INTO skips (question_key, reviewer_id, skipped_at) VALUES (:key, :reviewer, :now)", told)


def list_reports(reader: Reader, question_key: QuestionKey, *, limit: int = 50) -> list[OpenReport]:
    """Return who reports a question: those with a correction first, then the oldest."""
    rows = reader.execute(
        """
        SELECT open_reports.*, reason, comment FROM open_reports LEFT JOIN ratings
        ON ratings.turn_id = open_reports.turn_id AND ratings.person_id = open_reports.person_id AND is_good = 0 AND withdrawn_at IS NULL
        WHERE question_key = :key ORDER BY correction_id IS NULL, open_reports.id LIMIT :limit
        """,
        {"key": question_key, "limit": limit},
    )
    return [_to_report(row) for row in rows]


def decide(
    tx: Transaction,
    correction_id: CorrectionId,
    decision: Decision,
    *,
    reviewer: PersonId,
    final_reply: str | None = None,
    note: str = "",
    approvals_required: int = 1,
    now: datetime,
) -> list[Review]:
    """Decide a correction for all who report the same question; return the reviews, that of the correction first.

    An approval gives all of them the same final reply; a rejection holds for those who propose the same. One's own wait for others.

    Raises:
        see `corrections.review`.
    """
    correction = corrections.find_correction(tx, correction_id)

    def review(one: Correction, text: str | None) -> Review:
        return corrections.review(
            tx, one.id, decision, reviewer=reviewer, final_reply=text, note=note, approvals_required=approvals_required, now=now
        )

    same = [corrections.find_correction(tx, one) for one in _list_same(tx, correction, reviewer)]
    first = review(correction, final_reply)
    if decision is Decision.REJECTED:
        same = [one for one in same if one.corrected_reply == correction.corrected_reply]
    return [first, *(review(one, first.final_reply) for one in same)]


def _list_same(reader: Reader, correction: Correction, reviewer: PersonId) -> list[CorrectionId]:
    """Return the other corrections of the same question that a reviewer may decide."""
    rows = reader.execute(
        """
        SELECT correction_id FROM open_reports
        WHERE question_key = (SELECT question_key FROM turns WHERE id = :turn_id)
        AND correction_id <> :correction_id AND person_id <> :reviewer AND NOT EXISTS (
            SELECT 1 FROM reviews
            WHERE reviews.correction_id = open_reports.correction_id AND reviewer_id = :reviewer AND withdrawn_at IS NULL
        ) ORDER BY id
        """,
        {"turn_id": correction.turn_id, "correction_id": correction.id, "reviewer": reviewer},
    )
    return [CorrectionId(row["correction_id"]) for row in rows]


def dismiss(tx: Transaction, question_key: QuestionKey, *, reviewer: PersonId, now: datetime) -> DismissalId:
    """Take what was only disliked about a question out of the queue, but for one's own, in a way that can be taken back.

    The ratings stay. Corrections are decided one by one.
    """
    told = {"key": question_key, "reviewer": reviewer, "now": store_time(now)}
    cursor = tx.execute("INSERT INTO dismissals (question_key, reviewer_id, dismissed_at) VALUES (:key, :reviewer, :now)", told)
    tx.execute(
        f"""
        INSERT INTO dismissed_reports (dismissal_id, turn_id, person_id, created_at)
        SELECT :dismissal, turn_id, person_id, created_at {_DISLIKED}
        """,
        {**told, "dismissal": cursor.lastrowid},
    )
    tx.execute(f"DELETE {_DISLIKED}", told)
    return DismissalId(int(cursor.lastrowid or 0))


def restore(tx: Transaction, dismissal_id: DismissalId, *, now: datetime) -> None:
    """Take a dismissal back: what was disliked waits again, unless its author has thought better of it since."""
    tx.execute("UPDATE dismissals SET restored_at = :now WHERE id = :id", {"id": dismissal_id, "now": store_time(now)})
    tx.execute(
        """
        INSERT OR IGNORE INTO open_reports (question_key, turn_id, person_id, created_at)
        SELECT question_key, turn_id, person_id, created_at
        FROM dismissed_reports JOIN dismissals ON dismissals.id = dismissal_id
        WHERE dismissal_id = :id AND EXISTS (
            SELECT 1 FROM ratings
            WHERE ratings.turn_id = dismissed_reports.turn_id AND ratings.person_id = dismissed_reports.person_id
            AND is_good = 0 AND withdrawn_at IS NULL
        )
        """,
        {"id": dismissal_id},
    )


def _to_item(row: sqlite3.Row) -> QueueItem:
    return QueueItem(
        question_key=QuestionKey(row["question_key"]),
        question=row["question"],
        reporter_count=row["reporter_count"],
        correction_count=row["correction_count"],
        first_at=read_time(row["first_at"]),
    )


def _to_report(row: sqlite3.Row) -> OpenReport:
    return OpenReport(
        turn_id=TurnId(row["turn_id"]),
        person_id=PersonId(row["person_id"]),
        correction_id=None if row["correction_id"] is None else CorrectionId(row["correction_id"]),
        reason=row["reason"] or "",
        comment=row["comment"] or "",
        created_at=read_time(row["created_at"]),
    )
