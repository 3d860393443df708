"""Forgetting a conversation or a person: the text goes, what was learned from it is named. Knows the database only.

Snapshots, runs, releases, deployments and the audit stay; they hold ids and hashes, and a reason that somebody gave is blanked.
Reports lose what holds a text that went. Other examples of the same conversation lose an erased correction from their history.
Deleted text stays in the write-ahead log until the caller, after the transaction, calls `Database.erase_traces`; run directories and
older backups are the caller's, too. Until it says that it has cleaned them, the erasure is listed as uncleaned, whoever dies in between.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from feedback_db.database import Reader, Transaction, find_row, read_optional_time, read_time, store_time
from feedback_db.lineage import Descendants, find_descendants
from feedback_db.people import find_person
from feedback_db.records import ConversationId, PersonId, TurnId
from feedback_db.training_records import ExampleId

_LEAST_TELLING_CHARS = 12  # a shorter text, such as "yes", stands in other people's texts, too
_TABLES = ("conversations", "turns", "ratings", "corrections", "reviews", "examples", "variants", "golden_items", "fix_votes")
_QUESTIONS_OF_CONVERSATION = "SELECT user_message FROM turns WHERE conversation_id = :id"
_QUESTIONS_OF_PERSON = """
    SELECT user_message FROM turns JOIN conversations ON conversations.id = conversation_id WHERE person_id = :id
    UNION SELECT question FROM golden_items WHERE added_by = :id
    UNION SELECT reply FROM golden_items WHERE added_by = :id
"""
_ERASE_CONVERSATION = ("DELETE FROM conversations WHERE id = :id",)
_ERASE_PERSON = (
    "DELETE FROM conversations WHERE person_id = :id",
    "DELETE FROM corrections WHERE author_id = :id",
    "DELETE FROM variants WHERE added_by = :id",
    "DELETE FROM golden_items WHERE added_by = :id",
    "UPDATE ratings SET comment = '' WHERE person_id = :id",
    "UPDATE reviews SET note = '' WHERE reviewer_id = :id",
    "UPDATE requests SET reason = '' WHERE person_id = :id",
    "UPDATE runs SET reason = 'Erased.' WHERE requested_by = :id",
    "UPDATE deployments SET reason = 'Erased.' WHERE actor_id = :id",
    "UPDATE sessions SET ended_at = :now WHERE person_id = :id AND ended_at IS NULL",
    "UPDATE people SET name = '', password_hash = NULL, erased_at = coalesce(erased_at, :now) WHERE id = :id",
)

ErasureId = NewType("ErasureId", int)


class ErasureKind(StrEnum):
    """What was erased."""

    CONVERSATION = "conversation"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A conversation or person, `subject` is its id, was erased; while `cleaned_at` is None, files outside the database may hold text."""

    id: ErasureId
    kind: ErasureKind
    subject: str
    erased_at: datetime
    cleaned_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What went, and what had learned from it.

    `counts` are the deleted rows by table. `example_ids` are the examples that went, `reworded_ids` those that stay but lost a wording
    or an erased correction in their history; `descendants` hold either. Backups older than `erased_at` hold the text still.
    """

    erased_at: datetime
    counts: Mapping[str, int]
    example_ids: tuple[ExampleId, ...]
    reworded_ids: tuple[ExampleId, ...]
    descendants: Descendants


def erase_conversation(tx: Transaction, conversation_id: ConversationId, *, now: datetime) -> Erased:
    """Erase a conversation with all that came of it.

    Raises:
        NotFoundError: there is none of this id.
    """
    find_row(tx, "SELECT id FROM conversations WHERE id = :id", {"id": conversation_id}, kind="a conversation")
    _record_erasure(tx, ErasureKind.CONVERSATION, conversation_id, now)
    return _erase(tx, conversation_id, _QUESTIONS_OF_CONVERSATION, _ERASE_CONVERSATION, now)


def erase_person(tx: Transaction, person_id: PersonId, *, now: datetime) -> Erased:
    """Erase what a person wrote, and who they are; their row stays, nameless, for others refer to it.

    A reply that they edited as a reviewer is somebody else's correction and stays.

    Raises:
        NotFoundError: there is none of this id.
    """
    find_person(tx, person_id)
    _record_erasure(tx, ErasureKind.PERSON, person_id, now)
    return _erase(tx, person_id, _QUESTIONS_OF_PERSON, _ERASE_PERSON, now)


def list_uncleaned(reader: Reader) -> list[Erasure]:
    """Return the erasures whose traces outside the database have not been cleaned, the oldest first."""
    return [_to_erasure(row) for row in reader.execute("SELECT * FROM erasures WHERE cleaned_at IS NULL ORDER BY id")]


def record_cleaned(tx: Transaction, erasure_id: ErasureId, *, now: datetime) -> Erasure:
    """Record that no file outside the database holds what was erased; the first time counts.

    Raises:
        NotFoundError: there is no such erasure.
    """
    tx.execute("UPDATE erasures SET cleaned_at = :now WHERE id = :id AND cleaned_at IS NULL", {"id": erasure_id, "now": store_time(now)})
    return _to_erasure(find_row(tx, "SELECT * FROM erasures WHERE id = :id", {"id": erasure_id}, kind="an erasure"))


def _record_erasure(tx: Transaction, kind: ErasureKind, subject: str, now: datetime) -> None:
    tx.execute(
        "INSERT INTO erasures (kind, subject, erased_at) VALUES (:kind, :subject, :now)",
        {"kind": kind, "subject": subject, "now": store_time(now)},
    )


def _erase(tx: Transaction, key: str, questions_sql: str, statements: Sequence[str], now: datetime) -> Erased:
    """Run the statements, cascades and all, and tell what is gone from what was there before."""
    questions = {str(row["user_message"]) for row in tx.execute(questions_sql, {"id": key})}
    counts, examples, wordings, corrected = _count_rows(tx), _list_example_ids(tx), _list_wordings(tx), _list_corrected_replies(tx)
    for statement in statements:
        tx.execute(statement, {"id": key, "now": store_time(now)})
    gone = examples - _list_example_ids(tx)
    lost, taken_back = wordings - _list_wordings(tx), corrected - _list_corrected_replies(tx)
    reworded = ({example_id for example_id, _ in lost} & examples - gone) | _rewrite_histories(tx, taken_back)
    _scrub_reports(tx, gone | reworded, questions | {text for _, text in lost | taken_back})
    left = _count_rows(tx)
    return Erased(
        erased_at=now,
        counts={table: counts[table] - left[table] for table in _TABLES},
        example_ids=tuple(sorted(gone)),
        reworded_ids=tuple(sorted(reworded)),
        descendants=find_descendants(tx, gone | reworded),
    )


def _count_rows(tx: Transaction) -> dict[str, int]:
    return {table: int(tx.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in _TABLES}  # noqa: S608  our own names


def _list_example_ids(tx: Transaction) -> set[ExampleId]:
    return {ExampleId(row["correction_id"]) for row in tx.execute("SELECT correction_id FROM examples")}


def _list_wordings(tx: Transaction) -> set[tuple[ExampleId, str]]:
    return {(ExampleId(row["correction_id"]), row["text"]) for row in tx.execute("SELECT correction_id, text FROM variants")}


def _list_corrected_replies(tx: Transaction) -> set[tuple[TurnId, str]]:
    """Return which reply somebody wrote, or a reviewer made of it, in the place of which turn's own."""
    rows = tx.execute(
        """
        SELECT turn_id, corrected_reply FROM corrections
        UNION SELECT turn_id, final_reply FROM reviews JOIN corrections ON corrections.id = correction_id WHERE final_reply IS NOT NULL
        """
    )
    return {(TurnId(row["turn_id"]), row["corrected_reply"]) for row in rows}


def _rewrite_histories(tx: Transaction, taken_back: Set[tuple[TurnId, str]]) -> set[ExampleId]:
    """Put the turn's own reply wherever an example's history shows one that is taken back; return the examples concerned."""
    rewritten = set()
    for turn_id, text in taken_back:
        rows = tx.execute(
            """
            SELECT correction_id, messages, corrected.user_message, corrected.reply
            FROM turns AS corrected
            JOIN turns AS later ON later.conversation_id = corrected.conversation_id AND later.position > corrected.position
            JOIN examples ON examples.turn_id = later.id
            WHERE corrected.id = :turn_id
            """,
            {"turn_id": turn_id},
        ).fetchall()
        for row in rows:
            messages = json.loads(row["messages"])
            mended = _take_back(messages, row["user_message"], text, row["reply"])
            if mended != messages:
                parameters = {"id": row["correction_id"], "messages": json.dumps(mended, ensure_ascii=False)}
                tx.execute("UPDATE examples SET messages = :messages WHERE correction_id = :id", parameters)
                rewritten.add(ExampleId(row["correction_id"]))
    return rewritten


def _take_back(messages: Sequence[Mapping[str, str]], question: str, text: str, reply: str) -> list[Mapping[str, str]]:
    """Return the messages with a turn's own reply in the place of a text; a turn without a reply goes, for it was never shown."""
    kept: list[Mapping[str, str]] = []
    for message in messages:
        if message != {"role": "assistant", "content": text} or kept[-1:] != [{"role": "user", "content": question}]:
            kept.append(message)
        elif reply:
            kept.append({**message, "content": reply})
        else:
            kept.pop()
    return kept


def _scrub_reports(tx: Transaction, example_ids: Set[ExampleId], texts: Set[str]) -> None:
    """Take out of every report what asks about one of the examples, asks one of the texts, or holds one of them anywhere."""
    telling = [text for text in texts if len(text) >= _LEAST_TELLING_CHARS]

    def is_kept(asked: Mapping[str, object]) -> bool:
        return (
            asked.get("example_id") not in example_ids
            and asked.get("question") not in texts
            and not any(text in str(said) for said in asked.values() for text in telling)
        )

    for row in tx.execute("SELECT run_id, report FROM reports").fetchall():
        report = json.loads(row["report"])
        kept = [one for one in report["items"] if is_kept(one)]
        if len(kept) < len(report["items"]):
            tx.execute(
                "UPDATE reports SET report = :report WHERE run_id = :run_id",
                {"run_id": row["run_id"], "report": json.dumps({**report, "items": kept}, ensure_ascii=False)},
            )


def _to_erasure(row: sqlite3.Row) -> Erasure:
    return Erasure(
        id=ErasureId(row["id"]),
        kind=ErasureKind(row["kind"]),
        subject=row["subject"],
        erased_at=read_time(row["erased_at"]),
        cleaned_at=read_optional_time(row["cleaned_at"]),
    )
