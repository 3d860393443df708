import sqlite3
from datetime import datetime

import pytest

from feedback_db.chosen_settings import choose_settings, read_chosen_settings
from feedback_db.database import Database
from feedback_db.records import PersonId


def test_what_was_chosen_stays_until_something_else_is(db: Database, bob: PersonId, now: datetime) -> None:
    assert read_chosen_settings(db.read()) == {}
    with db.write() as tx:
        choose_settings(tx, {"system_message": "You help.", "quiet_from": None}, person_id=bob, now=now)
        choose_settings(tx, {"quiet_from": "22:00"}, person_id=bob, now=now)
    assert read_chosen_settings(db.read()) == {"system_message": "You help.", "quiet_from": "22:00"}


@pytest.mark.parametrize("sql", ["UPDATE chosen_settings SET chosen = '{}'", "DELETE FROM chosen_settings"])
def test_nobody_changes_what_somebody_chose(db: Database, bob: PersonId, now: datetime, sql: str) -> None:
    with db.write() as tx:
        choose_settings(tx, {"system_message": "You help."}, person_id=bob, now=now)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), db.write() as tx:
        tx.execute(sql)
