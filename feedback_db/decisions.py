"""What a reviewer did at once, as one unit with everything that came with it, which can be undone for a minute. Holds ids, no text."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from feedback_db import conversations, corrections, examples, golden, review_queue, unwatched
from feedback_db.corrections import WITHDRAWAL_TIME
from feedback_db.database import Reader, Transaction, read_time, store_time
from feedback_db.errors import NotFoundError, NothingToUndoError, OvertakenError
from feedback_db.records import ConversationId, CorrectionId, PersonId, ReviewId
from feedback_db.review_queue import DismissalId, QuestionKey
from feedback_db.training_records import ExampleId, GoldenId, VariantId
from feedback_db.unwatched import UnwatchedId

DecisionId = NewType("DecisionId", int)


class Deed(StrEnum):
    """What a reviewer did."""

    APPROVED = "approved"
    REJECTED = "rejected"
    PROPOSED = "proposed"  # sent a correction of one's own for review
    DISMISSED = "dismissed"  # said that what was only disliked needs no correction
    RETIRED = "retired"
    ADDED = "added"


class PartKind(StrEnum):
    """What came with a decision; the subject of a part is the id of such a thing."""

    REVIEW = "review"
    WORDING_ADDED = "wording added"
    DISMISSAL = "dismissal"
    CORRECTION_ADDED = "correction added"
    CONVERSATION_ADDED = "conversation added"
    EXAMPLE_RETIRED = "example retired"
    GOLDEN_RETIRED = "golden retired"
    GOLDEN_ADDED = "golden added"
    QUESTION_UNWATCHED = "question unwatched"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that came with a decision."""

    kind: PartKind
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerDecision:
    """What a reviewer did at once; `question_key` is None where it was about no item of the queue."""

    id: DecisionId
    reviewer_id: PersonId
    deed: Deed
    question_key: QuestionKey | None
    parts: tuple[Part, ...]
    decided_at: datetime


def record_decision(
    tx: Transaction, deed: Deed, parts: Sequence[Part], *, reviewer: PersonId, question_key: QuestionKey | None = None, now: datetime
) -> None:
    """Keep what came with a decision, in the order in which it is to be undone."""
    tx.execute(
        """
        INSERT INTO decisions (reviewer_id, deed, question_key, parts, decided_at)
        VALUES (:reviewer, :deed, :question_key, :parts, :now)
        """,
        {
            "reviewer": reviewer,
            "deed": deed,
            "question_key": question_key,
            "parts": json.dumps([[part.kind, part.subject] for part in parts]),
            "now": store_time(now),
        },
    )


def find_undoable(reader: Reader, *, reviewer: PersonId, now: datetime) -> ReviewerDecision | None:
    """Return the last decision of a reviewer that stands, if it is not older than a minute."""
    row = reader.execute(
        """
        SELECT * FROM decisions WHERE reviewer_id = :reviewer AND undone_at IS NULL AND decided_at > :since ORDER BY id DESC LIMIT 1
        """,
        {"reviewer": reviewer, "since": store_time(now - WITHDRAWAL_TIME)},
    ).fetchone()
    return None if row is None else _to_decision(row)


def undo_last(tx: Transaction, *, reviewer: PersonId, now: datetime) -> ReviewerDecision:
    """Undo a reviewer's last decision with all that came with it; what was erased since is left out.

    Raises:
        NothingToUndoError: nothing was decided in the last minute.
        OvertakenError: a colleague has decided on the same since, so that all of it stays.
        ReviewFinalError: others have gone on from it, so that all of it stays.
    """
    decision = find_undoable(tx, reviewer=reviewer, now=now)
    if decision is None:
        raise NothingToUndoError
    if _is_overtaken(tx, decision):
        raise OvertakenError
    for part in decision.parts:
        with suppress(NotFoundError):
            _undo_part(tx, part, reviewer, now)
    tx.execute("UPDATE decisions SET undone_at = :now WHERE id = :id", {"id": decision.id, "now": store_time(now)})
    return decision


def read_question(reader: Reader, decision: ReviewerDecision) -> str:
    """Return what the question of a decision says, "" where it was erased."""
    if decision.question_key is not None:
        sql = "SELECT user_message FROM turns WHERE question_key = :key LIMIT 1"
        row = reader.execute(sql, {"key": decision.question_key}).fetchone()
        return "" if row is None else str(row["user_message"])
    first = decision.parts[0]
    with suppress(NotFoundError):
        if first.kind is PartKind.EXAMPLE_RETIRED:
            return examples.find_example(reader, ExampleId(first.subject)).messages[-1]["content"]
        if first.kind in {PartKind.GOLDEN_RETIRED, PartKind.GOLDEN_ADDED}:
            return golden.find_golden(reader, GoldenId(int(first.subject))).question
    return ""


def _is_overtaken(reader: Reader, decision: ReviewerDecision) -> bool:
    """Say whether a colleague has decided since, in a way that stands, on the same question or on anything that came with the decision."""
    sql = "SELECT * FROM decisions WHERE id > :id AND reviewer_id <> :reviewer AND undone_at IS NULL"
    mine = _list_subjects(reader, decision)
    since = reader.execute(sql, {"id": decision.id, "reviewer": decision.reviewer_id})
    return any(mine & _list_subjects(reader, _to_decision(row)) for row in since)


def _list_subjects(reader: Reader, decision: ReviewerDecision) -> set[tuple[str, str]]:
    """Return what a decision was about, each a (kind, id): an example has the id of its correction."""
    found = set[tuple[str, str]]() if decision.question_key is None else {("question", str(decision.question_key))}
    for part in decision.parts:
        match part.kind:
            case PartKind.REVIEW:
                with suppress(NotFoundError):
                    found.add(("correction", corrections.find_review(reader, ReviewId(int(part.subject))).correction_id))
            case PartKind.CORRECTION_ADDED | PartKind.EXAMPLE_RETIRED:
                found.add(("correction", part.subject))
            case PartKind.GOLDEN_RETIRED | PartKind.GOLDEN_ADDED:
                found.add(("golden", part.subject))
    return found


def _undo_part(tx: Transaction, part: Part, reviewer: PersonId, now: datetime) -> None:
    match part.kind:
        case PartKind.REVIEW:
            corrections.withdraw_review(tx, ReviewId(int(part.subject)), reviewer=reviewer, now=now)
        case PartKind.WORDING_ADDED:
            examples.remove_variant(tx, VariantId(int(part.subject)))
        case PartKind.DISMISSAL:
            review_queue.restore(tx, DismissalId(int(part.subject)), now=now)
        case PartKind.CORRECTION_ADDED:
            corrections.take_back(tx, CorrectionId(part.subject), author=reviewer)
        case PartKind.CONVERSATION_ADDED:
            conversations.discard_conversation(tx, ConversationId(part.subject))
        case PartKind.EXAMPLE_RETIRED:
            examples.put_back(tx, ExampleId(part.subject))
        case PartKind.GOLDEN_RETIRED:
            golden.put_back(tx, GoldenId(int(part.subject)))
        case PartKind.GOLDEN_ADDED:
            golden.remove_golden(tx, GoldenId(int(part.subject)))
        case PartKind.QUESTION_UNWATCHED:
            unwatched.watch_again(tx, UnwatchedId(int(part.subject)))


def _to_decision(row: sqlite3.Row) -> ReviewerDecision:
    return ReviewerDecision(
        id=DecisionId(row["id"]),
        reviewer_id=PersonId(row["reviewer_id"]),
        deed=Deed(row["deed"]),
        question_key=row["question_key"],
        parts=tuple(Part(PartKind(kind), subject) for kind, subject in json.loads(row["parts"])),
        decided_at=read_time(row["decided_at"]),
    )
