"""Examples, which approved corrections become, and the other wordings of their questions. Knows which of them may be trained.

What an example says and in which split a wording is are the caller's to decide; here they are kept, and never rewritten.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

from feedback_db.database import Reader, Transaction, find_row, read_optional_time, read_time, store_time, translate_refusals
from feedback_db.errors import ExampleExistsError, NotFoundError, VariantExistsError
from feedback_db.records import ConversationId, CorrectionId, PersonId, TurnId
from feedback_db.text_checks import check_text
from feedback_db.training_records import ApprovedCorrection, Example, ExampleId, SnapshotId, Split, Variant, VariantId, VariantSource

MAX_VARIANT_CHARS = 4000
_WITH_OBSTACLE = """
    SELECT examples.* FROM examples
    JOIN trainability ON example_id = examples.correction_id
    JOIN standing_approvals ON standing_approvals.correction_id = examples.correction_id
"""
_LEARNED_BY_LIVE = """
    SELECT example_id FROM snapshot_examples WHERE snapshot_id = (
        SELECT snapshot_id FROM deployments
        JOIN releases ON releases.version = deployments.version
        JOIN runs ON runs.id = releases.run_id
        WHERE deployments.id = (SELECT max(id) FROM deployments)
    )
"""
_OLDEST_FIRST = "ORDER BY created_at, review_id"  # what one tick took in is as old as one another; then the order of approval counts


def list_approved(reader: Reader) -> list[ApprovedCorrection]:
    """Return the approved corrections that have not become an example, in the order of their approval."""
    rows = reader.execute(
        """
        SELECT corrections.id, corrections.turn_id, turns.conversation_id, author_id, user_message, version, final_reply, approved_at,
               given AS consent
        FROM corrections
        JOIN standing_approvals ON standing_approvals.correction_id = corrections.id
        JOIN turns ON turns.id = corrections.turn_id
        LEFT JOIN standing_consents ON standing_consents.conversation_id = turns.conversation_id
        WHERE corrections.state = 'approved' AND NOT EXISTS (SELECT 1 FROM examples WHERE examples.correction_id = corrections.id)
        ORDER BY review_id
        """
    )
    return [_to_approved(row) for row in rows]


def list_history(reader: Reader, turn_id: TurnId) -> list[tuple[str, str]]:
    """Return what was said in the conversation before a turn, the oldest first, each a (user message, reply).

    A reply that was corrected stands as it should have been, by the newest approval; failed and replaced turns are left out. Where a
    program told what was said before one of them, that is what was.
    """
    rows = reader.execute(
        """
        SELECT earlier.user_message, coalesce((
            SELECT final_reply FROM corrections
            JOIN standing_approvals ON standing_approvals.correction_id = corrections.id
            WHERE corrections.turn_id = earlier.id AND corrections.state = 'approved'
            ORDER BY review_id DESC LIMIT 1
        ), earlier.reply) AS reply, earlier.told_history, earlier.id = turns.id AS is_last
        FROM turns JOIN turns AS earlier ON earlier.conversation_id = turns.conversation_id
        AND (earlier.id = turns.id OR earlier.position < turns.position AND earlier.state <> 'failed')
        WHERE turns.id = :turn_id
        AND NOT EXISTS (SELECT 1 FROM turns AS newer WHERE newer.replaces = earlier.id AND newer.position <= turns.position)
        ORDER BY earlier.position
        """,
        {"turn_id": turn_id},
    )
    history: list[tuple[str, str]] = []
    for row in rows:
        if row["told_history"] is not None:
            history = [(asked, said) for asked, said in json.loads(row["told_history"])]
        if not row["is_last"]:
            history.append((row["user_message"], row["reply"]))
    return history


def add_example(tx: Transaction, correction_id: CorrectionId, *, messages: Sequence[Mapping[str, object]], now: datetime) -> Example:
    """Make an approved correction an example, with the reply that was approved.

    Args:
        tx: the transaction.
        correction_id: what it is made of; the example's id is the same.
        messages: the chat messages as they were served, each with a role and a content; the last is the user's question.
        now: the moment.

    Raises:
        NotFoundError: there is no approved correction of this id.
        ExampleExistsError: it is one already.
    """
    with translate_refusals({"examples.correction_id": ExampleExistsError(correction_id)}):
        cursor = tx.execute(
            """
            INSERT INTO examples (correction_id, turn_id, conversation_id, messages, reply, created_at)
            SELECT corrections.id, turn_id, conversation_id, :messages, final_reply, :now
            FROM corrections
            JOIN standing_approvals ON standing_approvals.correction_id = corrections.id
            JOIN turns ON turns.id = turn_id
            WHERE corrections.id = :id AND corrections.state = 'approved'
            """,
            {"id": correction_id, "messages": json.dumps(messages, ensure_ascii=False), "now": store_time(now)},
        )
    if cursor.rowcount == 0:
        raise NotFoundError("an approved correction", correction_id)
    return find_example(tx, ExampleId(correction_id))


def retire(tx: Transaction, example_id: ExampleId, *, superseded_by: ExampleId, now: datetime) -> None:
    """Take an example out of training because a newer one contradicts it; one that is retired already stays as it is.

    Raises:
        NotFoundError: there is no such example, or no other one in force that supersedes it.
    """
    find_example(tx, example_id)
    with translate_refusals({"only another example": NotFoundError("another example in force", superseded_by)}):
        tx.execute(
            "UPDATE examples SET retired_at = :now, superseded_by = :superseded_by WHERE correction_id = :id AND retired_at IS NULL",
            {"id": example_id, "superseded_by": superseded_by, "now": store_time(now)},
        )


def retire_by_person(tx: Transaction, example_id: ExampleId, *, person_id: PersonId, now: datetime) -> bool:
    """Take an example out of training because a person says so, and say whether that is new; one that is out already stays as it is.

    Raises:
        NotFoundError: there is no such example.
    """
    find_example(tx, example_id)
    cursor = tx.execute(
        "INSERT OR IGNORE INTO retirements (example_id, person_id, retired_at) VALUES (:id, :person_id, :now)",
        {"id": example_id, "person_id": person_id, "now": store_time(now)},
    )
    return cursor.rowcount == 1


def put_back(tx: Transaction, example_id: ExampleId) -> None:
    """Undo that a person has taken an example out of training."""
    tx.execute("DELETE FROM retirements WHERE example_id = :id", {"id": example_id})


def search_examples(reader: Reader, words: str, *, limit: int = 50) -> list[Example]:
    """Return the examples that may be trained now and hold these words in their question or reply, the newest first."""
    rows = reader.execute(
        f"""
        {_WITH_OBSTACLE} WHERE obstacle IS NULL
        AND (:words = '' OR instr(lower(json_extract(messages, '$[#-1].content')), lower(:words)) OR instr(lower(reply), lower(:words)))
        ORDER BY examples.created_at DESC, examples.correction_id LIMIT :limit
        """,
        {"words": words.strip(), "limit": limit},
    )
    return [_to_example(row) for row in rows]


def find_example(reader: Reader, example_id: ExampleId) -> Example:
    """Return an example.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_example(find_row(reader, "SELECT * FROM examples WHERE correction_id = :id", {"id": example_id}, kind="an example"))


def find_obstacle(reader: Reader, example_id: ExampleId) -> str | None:
    """Return in a word why an example may not be trained now, None where it may, or where nothing is known of it."""
    row = reader.execute("SELECT obstacle FROM trainability WHERE example_id = :id", {"id": example_id}).fetchone()
    return None if row is None else row["obstacle"]


def list_examples(reader: Reader) -> list[Example]:
    """Return the examples that may be trained now, the oldest first.

    Their corrections are approved, they are not retired, and their conversations' newest word on consent is yes.
    """
    return [_to_example(row) for row in reader.execute(f"{_WITH_OBSTACLE} WHERE obstacle IS NULL {_OLDEST_FIRST}")]


def count_unconsented(reader: Reader) -> int:
    """Return how many examples only lack their conversation's consent."""
    return int(reader.execute("SELECT count(*) FROM trainability WHERE obstacle = 'unconsented'").fetchone()[0])


def list_untrained(reader: Reader) -> list[Example]:
    """Return the examples that may be trained now and that the live release has not learned, the oldest first."""
    sql = f"{_WITH_OBSTACLE} WHERE obstacle IS NULL AND example_id NOT IN ({_LEARNED_BY_LIVE}) {_OLDEST_FIRST}"
    return [_to_example(row) for row in reader.execute(sql)]


def list_vanished(reader: Reader) -> list[ExampleId]:
    """Return what the live release has learned and may not be trained any more: erased, retired, without consent."""
    rows = reader.execute(
        f"""
        SELECT learned.example_id FROM ({_LEARNED_BY_LIVE}) AS learned
        LEFT JOIN trainability ON trainability.example_id = learned.example_id
        WHERE trainability.example_id IS NULL OR obstacle IS NOT NULL ORDER BY learned.example_id
        """  # noqa: S608  our own query
    )
    return [ExampleId(row["example_id"]) for row in rows]


def list_standing(reader: Reader, snapshot_id: SnapshotId) -> list[Example]:
    """Return the examples of a snapshot that may still be read, the oldest first: retired ones, too, but none erased or without consent."""
    rows = reader.execute(
        f"""
        {_WITH_OBSTACLE} JOIN standing_consents ON standing_consents.conversation_id = examples.conversation_id
        WHERE (obstacle IS NULL OR obstacle = 'retired') AND given = 1
        AND example_id IN (SELECT example_id FROM snapshot_examples WHERE snapshot_id = :id) {_OLDEST_FIRST}
        """,  # noqa: S608  our own query
        {"id": snapshot_id},
    )
    return [_to_example(row) for row in rows]


def add_variant(
    tx: Transaction,
    correction_id: CorrectionId,
    *,
    text: str,
    split: Split,
    added_by: PersonId | None = None,
    turn_id: TurnId | None = None,
    now: datetime,
) -> Variant:
    """Add another wording of the question that a correction answers, for ever in the split that the caller names.

    It comes either from a reviewer, `added_by`, or from the log, `turn_id`.

    Raises:
        EmptyTextError, TextTooLongError, HostileTextError: the wording cannot be learned as it is.
        NotFoundError: there is no such correction.
        VariantExistsError: the correction has this wording, whatever its case.
    """
    text = check_text(text, what="a wording", max_chars=MAX_VARIANT_CHARS)
    refusals = {"UNIQUE": VariantExistsError(correction_id), "FOREIGN KEY": NotFoundError("a correction", correction_id)}
    with translate_refusals(refusals):
        cursor = tx.execute(
            """
            INSERT INTO variants (correction_id, text, source, split, turn_id, added_by, created_at)
            VALUES (:correction_id, :text, :source, :split, :turn_id, :added_by, :created_at)
            """,
            {
                "correction_id": correction_id,
                "text": text,
                "source": VariantSource.REVIEWER if turn_id is None else VariantSource.LOG,
                "split": split,
                "turn_id": turn_id,
                "added_by": added_by,
                "created_at": store_time(now),
            },
        )
    return _to_variant(tx.execute("SELECT * FROM variants WHERE id = :id", {"id": cursor.lastrowid}).fetchone())


def remove_variant(tx: Transaction, variant_id: VariantId) -> None:
    """Take a wording away again; does nothing where it is gone."""
    tx.execute("DELETE FROM variants WHERE id = :id", {"id": variant_id})


def list_variants(reader: Reader, correction_id: CorrectionId) -> list[Variant]:
    """Return the wordings that count now, the oldest first: one from the log only while its own conversation's consent is given."""
    rows = reader.execute(
        """
        SELECT variants.* FROM variants
        LEFT JOIN turns ON turns.id = variants.turn_id
        LEFT JOIN standing_consents ON standing_consents.conversation_id = turns.conversation_id
        WHERE correction_id = :id AND (source = 'reviewer' OR given = 1) ORDER BY variants.id
        """,
        {"id": correction_id},
    )
    return [_to_variant(row) for row in rows]


def list_standing_variants(reader: Reader) -> tuple[VariantId, ...]:
    """Return the ids of all wordings that count now, the oldest first."""
    rows = reader.execute(
        """
        SELECT variants.id FROM variants
        LEFT JOIN turns ON turns.id = variants.turn_id
        LEFT JOIN standing_consents ON standing_consents.conversation_id = turns.conversation_id
        WHERE source = 'reviewer' OR given = 1 ORDER BY variants.id
        """
    )
    return tuple(VariantId(row["id"]) for row in rows)


def _to_approved(row: sqlite3.Row) -> ApprovedCorrection:
    return ApprovedCorrection(
        id=CorrectionId(row["id"]),
        turn_id=TurnId(row["turn_id"]),
        conversation_id=ConversationId(row["conversation_id"]),
        author_id=PersonId(row["author_id"]),
        user_message=row["user_message"],
        version=row["version"],
        final_reply=row["final_reply"],
        approved_at=read_time(row["approved_at"]),
        consent=None if row["consent"] is None else bool(row["consent"]),
    )


def _to_example(row: sqlite3.Row) -> Example:
    return Example(
        id=ExampleId(row["correction_id"]),
        turn_id=TurnId(row["turn_id"]),
        conversation_id=ConversationId(row["conversation_id"]),
        messages=tuple(json.loads(row["messages"])),
        reply=row["reply"],
        created_at=read_time(row["created_at"]),
        retired_at=read_optional_time(row["retired_at"]),
        superseded_by=row["superseded_by"],
    )


def _to_variant(row: sqlite3.Row) -> Variant:
    return Variant(
        id=VariantId(row["id"]),
        correction_id=CorrectionId(row["correction_id"]),
        text=row["text"],
        source=VariantSource(row["source"]),
        split=Split(row["split"]),
        turn_id=row["turn_id"],
        added_by=row["added_by"],
        created_at=read_time(row["created_at"]),
    )
