"""Corrections and their reviews: what somebody says the right reply would have been, and who else agrees."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from feedback_db.database import Reader, Transaction, find_row, read_optional_time, read_time, store_time, translate_refusals
from feedback_db.errors import AlreadyCorrectedError, AlreadyReviewedError, NotFoundError, OwnCorrectionError, ReviewFinalError
from feedback_db.records import Correction, CorrectionId, CorrectionState, Decision, PersonId, Review, ReviewId, TurnId
from feedback_db.text_checks import check_text

MAX_REPLY_CHARS = 8000
WITHDRAWAL_TIME = timedelta(minutes=1)


def add_correction(
    tx: Transaction, correction_id: CorrectionId, *, turn_id: TurnId, corrected_reply: str, author: PersonId, now: datetime
) -> Correction:
    """Add what the reply to a turn should have been.

    Raises:
        EmptyTextError, TextTooLongError, HostileTextError: the reply cannot be learned as it is.
        AlreadyCorrectedError: an earlier correction by the same author waits still.
        NotFoundError: there is no such turn.
    """
    text = check_text(corrected_reply, what="a corrected reply", max_chars=MAX_REPLY_CHARS)
    waiting = "SELECT 1 FROM corrections WHERE turn_id = :turn_id AND author_id = :author AND state = 'pending'"
    if tx.execute(waiting, {"turn_id": turn_id, "author": author}).fetchone() is not None:
        raise AlreadyCorrectedError
    try:
        tx.execute(
            """
            INSERT INTO corrections (id, turn_id, author_id, corrected_reply, created_at)
            VALUES (:id, :turn_id, :author_id, :corrected_reply, :created_at)
            """,
            {"id": correction_id, "turn_id": turn_id, "author_id": author, "corrected_reply": text, "created_at": store_time(now)},
        )
    except sqlite3.IntegrityError as error:
        raise NotFoundError("a turn", turn_id) from error
    return find_correction(tx, correction_id)


def find_correction(reader: Reader, correction_id: CorrectionId) -> Correction:
    """Return a correction.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_correction(find_row(reader, "SELECT * FROM corrections WHERE id = :id", {"id": correction_id}, kind="a correction"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorRecord:
    """How many of a person's corrections were approved and rejected."""

    approved: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A correction that was decided, with its question, the reply that it corrects, and the last review of it."""

    correction: Correction
    question: str
    reply: str
    final_reply: str | None
    note: str
    decided_at: datetime


def read_author_record(reader: Reader, author: PersonId) -> AuthorRecord:
    """Return what became of a person's corrections so far."""
    rows = reader.execute(
        "SELECT state, count(*) AS number FROM corrections WHERE author_id = :author AND state <> 'pending' GROUP BY state",
        {"author": author},
    )
    found = {row["state"]: row["number"] for row in rows}
    return AuthorRecord(approved=found.get("approved", 0), rejected=found.get("rejected", 0))


def list_decided(reader: Reader, state: CorrectionState, *, limit: int = 50) -> list[Decided]:
    """Return the corrections of a state other than pending, the newest first."""
    rows = reader.execute(
        """
        SELECT corrections.*, user_message, reply, final_reply, note, reviews.created_at AS decided_at
        FROM corrections JOIN turns ON turns.id = turn_id JOIN reviews ON reviews.id = (
            SELECT max(id) FROM reviews AS one WHERE one.correction_id = corrections.id AND withdrawn_at IS NULL
        )
        WHERE corrections.state = :state ORDER BY corrections.created_at DESC LIMIT :limit
        """,
        {"state": state, "limit": limit},
    )
    return [
        Decided(
            correction=_to_correction(row),
            question=row["user_message"],
            reply=row["reply"],
            final_reply=row["final_reply"],
            note=row["note"],
            decided_at=read_time(row["decided_at"]),
        )
        for row in rows
    ]


def review(
    tx: Transaction,
    correction_id: CorrectionId,
    decision: Decision,
    *,
    reviewer: PersonId,
    final_reply: str | None = None,
    note: str = "",
    approvals_required: int = 1,
    now: datetime,
) -> Review:
    """Record a reviewer's word; enough approvals of the same text approve the correction, one rejection rejects it.

    Args:
        tx: the transaction.
        correction_id: what is reviewed.
        decision: approved or rejected.
        reviewer: who decides.
        final_reply: the text to be learned where the reviewer edited it; None leaves it as it stands.
        note: why.
        approvals_required: how many people must approve; where more than one, an edit does not count as an approval of itself.
        now: the moment.

    Raises:
        NotFoundError: there is no such correction.
        OwnCorrectionError: the reviewer wrote it.
        AlreadyReviewedError: it is decided, or this reviewer has decided on it.
        EmptyTextError, TextTooLongError, HostileTextError: the edited reply cannot be learned as it is.
    """
    correction = find_correction(tx, correction_id)
    if correction.state is not CorrectionState.PENDING:
        raise AlreadyReviewedError(correction.state.value)
    standing = _standing_reply(tx, correction)
    text = standing if final_reply is None else check_text(final_reply, what="a final reply", max_chars=MAX_REPLY_CHARS)
    review_id = _insert_review(tx, correction, decision, reviewer, text, note, now, is_edit=text != standing)
    _set_state(tx, correction_id, _decide(tx, correction_id, text, approvals_required))
    return find_review(tx, review_id)


def find_review(reader: Reader, review_id: ReviewId) -> Review:
    """Return a review.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_review(find_row(reader, "SELECT * FROM reviews WHERE id = :id", {"id": review_id}, kind="a review"))


def list_reviews(reader: Reader, correction_id: CorrectionId) -> list[Review]:
    """Return the reviews of a correction that stand, the oldest first."""
    sql = "SELECT * FROM reviews WHERE correction_id = :id AND withdrawn_at IS NULL ORDER BY id"
    return [_to_review(row) for row in reader.execute(sql, {"id": correction_id})]


def take_back(tx: Transaction, correction_id: CorrectionId, *, author: PersonId) -> None:
    """Take one's own correction back while nobody has reviewed it.

    Raises:
        NotFoundError: there is no such correction, or it is somebody else's.
        ReviewFinalError: somebody has reviewed it.
    """
    if find_correction(tx, correction_id).author_id != author:
        raise NotFoundError("a correction", correction_id)
    if list_reviews(tx, correction_id):
        raise ReviewFinalError("somebody has decided on the correction")
    tx.execute("DELETE FROM corrections WHERE id = :id", {"id": correction_id})


def withdraw_review(tx: Transaction, review_id: ReviewId, *, reviewer: PersonId, now: datetime) -> None:
    """Take a review back within a minute; the correction waits again, and what it had become goes.

    Raises:
        NotFoundError: there is no such review, or it is another reviewer's.
        ReviewFinalError: the minute is over, it was withdrawn before, somebody has reviewed after it, or a snapshot holds the example.
    """
    found = find_review(tx, review_id)
    if found.reviewer_id != reviewer:
        raise NotFoundError("a review", review_id)
    if found.withdrawn_at is not None:
        raise ReviewFinalError("it has been withdrawn already")
    if now - found.created_at > WITHDRAWAL_TIME:
        raise ReviewFinalError("its minute is over")
    if any(review.id > review_id for review in list_reviews(tx, found.correction_id)):
        raise ReviewFinalError("somebody else has reviewed the same since")
    with translate_refusals({"a snapshot holds": ReviewFinalError("a snapshot holds its example")}):
        tx.execute("UPDATE reviews SET withdrawn_at = :now WHERE id = :id", {"id": review_id, "now": store_time(now)})
    _set_state(tx, found.correction_id, CorrectionState.PENDING)
    _delete_example(tx, found.correction_id)


def withdraw_reviews_of(tx: Transaction, *, author: PersonId, reviewer: PersonId, now: datetime) -> int:
    """Withdraw, whenever they were made, the reviews by somebody who turned out to be the author; one that a snapshot holds stays.

    Returns:
        How many were withdrawn; their corrections wait again.
    """
    rows = tx.execute(
        """
        UPDATE reviews SET withdrawn_at = :now WHERE author_id = :author AND reviewer_id = :reviewer AND withdrawn_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM snapshot_examples WHERE example_id = correction_id)
        RETURNING correction_id
        """,
        {"author": author, "reviewer": reviewer, "now": store_time(now)},
    ).fetchall()
    for row in rows:
        _set_state(tx, CorrectionId(row["correction_id"]), CorrectionState.PENDING)
        _delete_example(tx, CorrectionId(row["correction_id"]))
    return len(rows)


def _standing_reply(tx: Transaction, correction: Correction) -> str:
    """Return the text that is up for approval: the newest approved edit, else what the author wrote."""
    row = tx.execute("SELECT final_reply FROM standing_approvals WHERE correction_id = :id", {"id": correction.id}).fetchone()
    return correction.corrected_reply if row is None else str(row["final_reply"])


def _insert_review(
    tx: Transaction, correction: Correction, decision: Decision, reviewer: PersonId, text: str, note: str, now: datetime, *, is_edit: bool
) -> ReviewId:
    """Insert the row; the database refuses authors and second reviews, and its refusal is told in words."""
    try:
        cursor = tx.execute(
            """
            INSERT INTO reviews (correction_id, author_id, reviewer_id, decision, final_reply, is_edit, note, created_at)
            VALUES (:correction_id, :author_id, :reviewer_id, :decision, :final_reply, :is_edit, :note, :created_at)
            """,
            {
                "correction_id": correction.id,
                "author_id": correction.author_id,
                "reviewer_id": reviewer,
                "decision": decision,
                "final_reply": text if decision is Decision.APPROVED else None,
                "is_edit": is_edit,
                "note": note,
                "created_at": store_time(now),
            },
        )
    except sqlite3.IntegrityError as error:
        if "reviewer_id <> author_id" in str(error):
            raise OwnCorrectionError from error
        if "UNIQUE" in str(error):
            raise AlreadyReviewedError("decided by you already") from error
        raise
    return ReviewId(int(cursor.lastrowid or 0))


def _decide(tx: Transaction, correction_id: CorrectionId, text: str, approvals_required: int) -> CorrectionState:
    """Count the words that stand: a rejection decides, approvals count for the text that they approved."""
    rejections, approvals = tx.execute(
        """
        SELECT count(*) FILTER (WHERE decision = 'rejected'),
               count(*) FILTER (WHERE final_reply = :text AND (NOT is_edit OR :required = 1))
        FROM reviews WHERE correction_id = :id AND withdrawn_at IS NULL
        """,
        {"id": correction_id, "text": text, "required": approvals_required},
    ).fetchone()
    if rejections:
        return CorrectionState.REJECTED
    return CorrectionState.APPROVED if approvals >= approvals_required else CorrectionState.PENDING


def _delete_example(tx: Transaction, correction_id: CorrectionId) -> None:
    """Delete what a correction had become, if it had; the examples that it superseded are in force again."""
    tx.execute("UPDATE examples SET retired_at = NULL, superseded_by = NULL WHERE superseded_by = :id", {"id": correction_id})
    tx.execute("DELETE FROM examples WHERE correction_id = :id", {"id": correction_id})


def _set_state(tx: Transaction, correction_id: CorrectionId, state: CorrectionState) -> None:
    tx.execute("UPDATE corrections SET state = :state WHERE id = :id", {"id": correction_id, "state": state})


def _to_correction(row: sqlite3.Row) -> Correction:
    return Correction(
        id=CorrectionId(row["id"]),
        turn_id=TurnId(row["turn_id"]),
        author_id=PersonId(row["author_id"]),
        corrected_reply=row["corrected_reply"],
        state=CorrectionState(row["state"]),
        created_at=read_time(row["created_at"]),
    )


def _to_review(row: sqlite3.Row) -> Review:
    return Review(
        id=ReviewId(row["id"]),
        correction_id=CorrectionId(row["correction_id"]),
        reviewer_id=PersonId(row["reviewer_id"]),
        decision=Decision(row["decision"]),
        final_reply=row["final_reply"],
        note=row["note"],
        created_at=read_time(row["created_at"]),
        withdrawn_at=read_optional_time(row["withdrawn_at"]),
    )
