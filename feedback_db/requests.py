"""What people ask of the supervisor, and what it tells them of the schedule: the pages' only way to it. Starts nothing itself."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from feedback_db.database import Reader, Transaction, find_row, read_optional_time, read_time, store_time, translate_refusals
from feedback_db.errors import AlreadyHandledError, NotFoundError
from feedback_db.forecast import Forecast, write_forecast
from feedback_db.recipe import Recipe, write_recipe
from feedback_db.records import PersonId
from feedback_db.text_checks import check_text
from feedback_db.training_records import Request, RequestId, RequestKind, ScheduleStatus

_MAX_REASON_CHARS = 1000


def add_request(
    tx: Transaction, kind: RequestKind, *, person_id: PersonId, reason: str, recipe: Recipe | None = None, now: datetime
) -> Request:
    """Ask something of the supervisor; the reason may be left empty, and a run follows the default recipe where none is given.

    Raises:
        NotFoundError: there is no such person.
        TextTooLongError, HostileTextError: the reason cannot be stored as it is.
    """
    reason = check_text(reason, what="a reason", max_chars=_MAX_REASON_CHARS) if reason.strip() else ""
    with translate_refusals({"FOREIGN KEY": NotFoundError("a person", person_id)}):
        cursor = tx.execute(
            """
            INSERT INTO requests (kind, person_id, reason, recipe, created_at) VALUES (:kind, :person_id, :reason, :recipe, :created_at)
            """,
            {
                "kind": kind,
                "person_id": person_id,
                "reason": reason,
                "recipe": None if recipe is None else write_recipe(recipe),
                "created_at": store_time(now),
            },
        )
    return find_request(tx, RequestId(int(cursor.lastrowid or 0)))


def find_request(reader: Reader, request_id: RequestId) -> Request:
    """Return a request.

    Raises:
        NotFoundError: there is none of this id.
    """
    return _to_request(find_row(reader, "SELECT * FROM requests WHERE id = :id", {"id": request_id}, kind="a request"))


def list_open(reader: Reader) -> list[Request]:
    """Return the requests that have not been handled, the oldest first."""
    return [_to_request(row) for row in reader.execute("SELECT * FROM requests WHERE handled_at IS NULL ORDER BY id")]


def find_newest_answer(reader: Reader) -> Request | None:
    """Return the request that was answered last, None before the first."""
    row = reader.execute("SELECT * FROM requests WHERE handled_at IS NOT NULL ORDER BY handled_at DESC, id DESC LIMIT 1").fetchone()
    return None if row is None else _to_request(row)


def handle(tx: Transaction, request_id: RequestId, *, outcome: str, forecast: Forecast | None = None, now: datetime) -> Request:
    """Close a request with a sentence that says what became of it, a dry run with what it has foreseen, too.

    Raises:
        NotFoundError: there is no such request.
        AlreadyHandledError: it is closed.
    """
    cursor = tx.execute(
        "UPDATE requests SET handled_at = :now, outcome = :outcome, forecast = :forecast WHERE id = :id AND handled_at IS NULL",
        {
            "id": request_id,
            "outcome": outcome,
            "forecast": None if forecast is None else write_forecast(forecast),
            "now": store_time(now),
        },
    )
    found = find_request(tx, request_id)
    if cursor.rowcount == 0:
        raise AlreadyHandledError(request_id)
    return found


def publish_status(tx: Transaction, *, is_due: bool, reasons: Sequence[str], next_look_at: datetime | None, now: datetime) -> None:
    """Say whether a run is due, and why or why not, in place of what was said before."""
    tx.execute(
        """
        INSERT INTO schedule_status (id, is_due, reasons, next_look_at, updated_at)
        VALUES (1, :is_due, :reasons, :next_look_at, :updated_at)
        ON CONFLICT (id) DO UPDATE SET is_due = excluded.is_due, reasons = excluded.reasons, next_look_at = excluded.next_look_at,
                                       updated_at = excluded.updated_at
        """,
        {
            "is_due": is_due,
            "reasons": json.dumps(list(reasons), ensure_ascii=False),
            "next_look_at": None if next_look_at is None else store_time(next_look_at),
            "updated_at": store_time(now),
        },
    )


def read_status(reader: Reader) -> ScheduleStatus | None:
    """Return what the supervisor said last, None before its first look."""
    row = reader.execute("SELECT * FROM schedule_status").fetchone()
    if row is None:
        return None
    return ScheduleStatus(
        is_due=bool(row["is_due"]),
        reasons=tuple(json.loads(row["reasons"])),
        next_look_at=read_optional_time(row["next_look_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def _to_request(row: sqlite3.Row) -> Request:
    return Request(
        id=RequestId(row["id"]),
        kind=RequestKind(row["kind"]),
        person_id=PersonId(row["person_id"]),
        reason=row["reason"],
        recipe=row["recipe"],
        created_at=read_time(row["created_at"]),
        handled_at=read_optional_time(row["handled_at"]),
        outcome=row["outcome"],
        forecast=row["forecast"],
    )
