"""One-time links by which somebody whose password was reset chooses another one. Knows no tokens, only their hashes."""

from datetime import datetime

from feedback_db.database import Reader, Transaction, store_time, translate_refusals
from feedback_db.errors import NotFoundError
from feedback_db.people import find_person
from feedback_db.records import Person, PersonId


def open_link(tx: Transaction, token_hash: str, *, person_id: PersonId, expires_at: datetime, now: datetime) -> None:
    """Let a link choose a person's password until the given moment; an earlier link of the person's works no more.

    Raises:
        NotFoundError: there is no such person.
    """
    end_links(tx, person_id, now=now)
    with translate_refusals({"FOREIGN KEY": NotFoundError("a person", person_id)}):
        tx.execute(
            """
            INSERT INTO password_links (token_hash, person_id, created_at, expires_at)
            VALUES (:token_hash, :person_id, :created_at, :expires_at)
            """,
            {"token_hash": token_hash, "person_id": person_id, "created_at": store_time(now), "expires_at": store_time(expires_at)},
        )


def find_person_by_link(reader: Reader, token_hash: str, *, now: datetime) -> Person | None:
    """Return whose password a link chooses, None if the link is unknown, over or used, or its person is disabled or erased."""
    row = reader.execute(
        """
        SELECT person_id FROM password_links JOIN people ON people.id = person_id
        WHERE token_hash = :token_hash AND ended_at IS NULL AND expires_at > :now AND disabled_at IS NULL AND erased_at IS NULL
        """,
        {"token_hash": token_hash, "now": store_time(now)},
    ).fetchone()
    return None if row is None else find_person(reader, row["person_id"])


def end_links(tx: Transaction, person_id: PersonId, *, now: datetime) -> None:
    """Let no link choose a person's password any more."""
    tx.execute(
        "UPDATE password_links SET ended_at = :now WHERE person_id = :person_id AND ended_at IS NULL",
        {"person_id": person_id, "now": store_time(now)},
    )
