"""The golden set: questions whose answers must stay right, whatever is learned. Items are retired, never rewritten."""

import sqlite3
from datetime import datetime

from feedback_db.database import Reader, Transaction, find_row, read_optional_time, read_time, store_time, translate_refusals
from feedback_db.errors import NotFoundError
from feedback_db.records import PersonId
from feedback_db.text_checks import check_text
from feedback_db.training_records import GoldenId, GoldenItem

MAX_CHARS = 4000


def add_golden(tx: Transaction, *, question: str, reply: str, added_by: PersonId, now: datetime) -> GoldenItem:
    """Add an item.

    Raises:
        EmptyTextError, TextTooLongError, HostileTextError: the question or the reply cannot be asked or compared as it is.
        NotFoundError: there is no such person.
    """
    with translate_refusals({"FOREIGN KEY": NotFoundError("a person", added_by)}):
        cursor = tx.execute(
            "INSERT INTO golden_items (question, reply, added_by, created_at) VALUES (:question, :reply, :added_by, :created_at)",
            {
                "question": check_text(question, what="a golden question", max_chars=MAX_CHARS),
                "reply": check_text(reply, what="a golden reply", max_chars=MAX_CHARS),
                "added_by": added_by,
                "created_at": store_time(now),
            },
        )
    return find_golden(tx, GoldenId(int(cursor.lastrowid or 0)))


def retire_golden(tx: Transaction, golden_id: GoldenId, *, now: datetime) -> bool:
    """Take an item out of the set, and say whether that is new; one that is out already stays as it is.

    Raises:
        NotFoundError: there is no such item.
    """
    find_golden(tx, golden_id)
    sql = "UPDATE golden_items SET retired_at = :now WHERE id = :id AND retired_at IS NULL"
    return tx.execute(sql, {"id": golden_id, "now": store_time(now)}).rowcount == 1


def put_back(tx: Transaction, golden_id: GoldenId) -> None:
    """Undo that an item was retired."""
    tx.execute("UPDATE golden_items SET retired_at = NULL WHERE id = :id", {"id": golden_id})


def remove_golden(tx: Transaction, golden_id: GoldenId) -> None:
    """Undo that an item was added."""
    tx.execute("DELETE FROM golden_items WHERE id = :id", {"id": golden_id})


def find_golden(reader: Reader, golden_id: GoldenId) -> GoldenItem:
    """Return an item.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_item(find_row(reader, "SELECT * FROM golden_items WHERE id = :id", {"id": golden_id}, kind="a golden item"))


def list_golden(reader: Reader, *, is_retired_too: bool = False) -> list[GoldenItem]:
    """Return the items in force, the oldest first; or all of them."""
    rows = reader.execute("SELECT * FROM golden_items WHERE retired_at IS NULL OR :all ORDER BY id", {"all": is_retired_too})
    return [_to_item(row) for row in rows]


def search_golden(reader: Reader, words: str, *, limit: int = 50) -> list[GoldenItem]:
    """Return the items in force that hold these words, the newest first."""
    rows = reader.execute(
        """
        SELECT * FROM golden_items WHERE retired_at IS NULL
        AND (:words = '' OR instr(lower(question), lower(:words)) OR instr(lower(reply), lower(:words))) ORDER BY id DESC LIMIT :limit
        """,
        {"words": words.strip(), "limit": limit},
    )
    return [_to_item(row) for row in rows]


def _to_item(row: sqlite3.Row) -> GoldenItem:
    return GoldenItem(
        id=GoldenId(row["id"]),
        question=row["question"],
        reply=row["reply"],
        added_by=PersonId(row["added_by"]),
        created_at=read_time(row["created_at"]),
        retired_at=read_optional_time(row["retired_at"]),
    )
