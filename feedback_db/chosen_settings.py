"""Settings that an admin has chosen on the page, in place of those of the environment. What they may be, the settings themselves know."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from feedback_db.database import Reader, Transaction, store_time
from feedback_db.records import PersonId


def choose_settings(tx: Transaction, chosen: Mapping[str, Any], *, person_id: PersonId, now: datetime) -> None:
    """Keep what was chosen; what was chosen before and is not named here stays chosen."""
    kept = {**read_chosen_settings(tx), **chosen}
    tx.execute(
        "INSERT INTO chosen_settings (person_id, chosen, created_at) VALUES (:person_id, :chosen, :created_at)",
        {"person_id": person_id, "chosen": json.dumps(kept, sort_keys=True), "created_at": store_time(now)},
    )


def read_chosen_settings(reader: Reader) -> dict[str, Any]:
    """Return what is chosen by its name, nothing before the first choice."""
    row = reader.execute("SELECT chosen FROM chosen_settings ORDER BY id DESC LIMIT 1").fetchone()
    found: dict[str, Any] = {} if row is None else json.loads(row["chosen"])
    return found
