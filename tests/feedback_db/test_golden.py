import sqlite3
from datetime import datetime, timedelta

import pytest

from feedback_db import erasure, golden
from feedback_db.database import Database
from feedback_db.errors import EmptyTextError, NotFoundError
from feedback_db.records import PersonId
from feedback_db.training_records import GoldenId, GoldenItem


def add(db: Database, person: PersonId, now: datetime, question: str = "how long is the warranty?") -> GoldenItem:
    with db.write() as tx:
        return golden.add_golden(tx, question=question, reply="It is 3 years.", added_by=person, now=now)


def test_the_golden_set_holds_what_was_added_until_it_is_retired(db: Database, bob: PersonId, now: datetime) -> None:
    kept, out = add(db, bob, now), add(db, bob, now, "who are you?")
    with db.write() as tx:
        assert golden.retire_golden(tx, out.id, now=now)
        assert not golden.retire_golden(tx, out.id, now=now + timedelta(hours=1))
    assert (kept.question, kept.reply, kept.added_by, kept.retired_at) == ("how long is the warranty?", "It is 3 years.", bob, None)
    assert golden.find_golden(db.read(), out.id).retired_at == now
    assert golden.list_golden(db.read()) == [kept]


def test_an_item_without_words_or_of_nobody_is_refused(db: Database, bob: PersonId, now: datetime) -> None:
    with pytest.raises(EmptyTextError):
        add(db, bob, now, " ")
    with pytest.raises(NotFoundError, match="a person 'nobody'"):
        add(db, PersonId("nobody"), now)
    with pytest.raises(NotFoundError, match="a golden item '9'"), db.write() as tx:
        golden.retire_golden(tx, GoldenId(9), now=now)


def test_a_retired_item_can_be_put_back(db: Database, bob: PersonId, now: datetime) -> None:
    item = add(db, bob, now)
    with db.write() as tx:
        golden.retire_golden(tx, item.id, now=now)
        golden.put_back(tx, item.id)
    assert golden.list_golden(db.read()) == [item]


def test_an_item_is_never_rewritten_nor_retired_twice(db: Database, bob: PersonId, now: datetime) -> None:
    item = add(db, bob, now)
    with db.write() as tx:
        golden.retire_golden(tx, item.id, now=now)
    for change in ("reply = 'It is 2 years.'", "retired_at = '2030'"):
        with pytest.raises(sqlite3.IntegrityError, match="only retired"), db.write() as tx:
            tx.execute(f"UPDATE golden_items SET {change}")


def test_an_erased_persons_items_are_gone(db: Database, bob: PersonId, now: datetime) -> None:
    add(db, bob, now)
    with db.write() as tx:
        erased = erasure.erase_person(tx, bob, now=now)
    assert erased.counts["golden_items"] == 1
    assert golden.list_golden(db.read()) == []
