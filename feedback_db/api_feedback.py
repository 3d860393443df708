"""What programs have said of replies, and under which keys of their own: the same said twice counts once."""

from datetime import datetime

from feedback_db.database import Reader, Transaction, store_time
from feedback_db.errors import ClientKeyReusedError
from feedback_db.records import ApiKeyId, TurnId


def find_noted(reader: Reader, key_id: ApiKeyId, client_key: str, *, content_hash: str) -> str | None:
    """Return the id of a feedback that came under a program's own key before, None if there is none.

    Raises:
        ClientKeyReusedError: it said something else.
    """
    row = reader.execute(
        "SELECT id, content_hash FROM api_feedback WHERE key_id = :key_id AND client_key = :client_key",
        {"key_id": key_id, "client_key": client_key},
    ).fetchone()
    if row is None:
        return None
    if row["content_hash"] != content_hash:
        raise ClientKeyReusedError(client_key)
    return str(row["id"])


def note_feedback(
    tx: Transaction, feedback_id: str, *, key_id: ApiKeyId, turn_id: TurnId, client_key: str | None, content_hash: str, now: datetime
) -> None:
    """Note that a feedback came; `client_key` None where the program gave it none."""
    tx.execute(
        """
        INSERT INTO api_feedback (id, key_id, turn_id, client_key, content_hash, created_at)
        VALUES (:id, :key_id, :turn_id, :client_key, :content_hash, :now)
        """,
        {
            "id": feedback_id,
            "key_id": key_id,
            "turn_id": turn_id,
            "client_key": client_key,
            "content_hash": content_hash,
            "now": store_time(now),
        },
    )
