"""Who is signed in. Knows no tokens, only their hashes."""

from datetime import datetime

from feedback_db.database import Reader, Transaction, store_time, translate_refusals
from feedback_db.errors import NotFoundError
from feedback_db.people import find_person
from feedback_db.records import Person, PersonId


def open_session(tx: Transaction, token_hash: str, *, person_id: PersonId, expires_at: datetime, now: datetime) -> None:
    """Sign a person in until the given moment.

    Raises:
        NotFoundError: there is no such person.
    """
    with translate_refusals({"FOREIGN KEY": NotFoundError("a person", person_id)}):
        tx.execute(
            """
            INSERT INTO sessions (token_hash, person_id, created_at, expires_at)
            VALUES (:token_hash, :person_id, :created_at, :expires_at)
            """,
            {"token_hash": token_hash, "person_id": person_id, "created_at": store_time(now), "expires_at": store_time(expires_at)},
        )


def find_person_by_session(reader: Reader, token_hash: str, *, now: datetime) -> Person | None:
    """Return who is signed in, None if the session is unknown, expired or ended, or its person is disabled or erased."""
    row = reader.execute(
        """
        SELECT person_id FROM sessions JOIN people ON people.id = person_id
        WHERE token_hash = :token_hash AND ended_at IS NULL AND expires_at > :now AND disabled_at IS NULL AND erased_at IS NULL
        """,
        {"token_hash": token_hash, "now": store_time(now)},
    ).fetchone()
    return None if row is None else find_person(reader, row["person_id"])


def end_session(tx: Transaction, token_hash: str, *, now: datetime) -> None:
    """Sign somebody out; a session that is unknown or ended stays as it is."""
    tx.execute(
        "UPDATE sessions SET ended_at = :now WHERE token_hash = :token_hash AND ended_at IS NULL",
        {"token_hash": token_hash, "now": store_time(now)},
    )


def end_all(tx: Transaction, person_id: PersonId, *, now: datetime) -> None:
    """Sign a person out everywhere."""
    tx.execute(
        "UPDATE sessions SET ended_at = :now WHERE person_id = :person_id AND ended_at IS NULL",
        {"person_id": person_id, "now": store_time(now)},
    )
