import sqlite3
from datetime import datetime, timedelta

import pytest

from feedback_db import requests
from feedback_db.database import Database
from feedback_db.errors import AlreadyHandledError, HostileTextError, NotFoundError
from feedback_db.forecast import Forecast, Foreseen, read_forecast
from feedback_db.recipe import Recipe, read_recipe
from feedback_db.records import PersonId
from feedback_db.training_records import ExampleId, Request, RequestId, RequestKind


def ask(db: Database, person: PersonId, now: datetime, kind: RequestKind = RequestKind.TRAIN, reason: str = "") -> Request:
    with db.write() as tx:
        return requests.add_request(tx, kind, person_id=person, reason=reason, now=now)


def test_requests_wait_in_their_order(db: Database, bob: PersonId, now: datetime) -> None:
    asked = [ask(db, bob, now, kind, " at once ") for kind in RequestKind]
    assert requests.list_open(db.read()) == asked
    assert (asked[0].kind, asked[0].person_id, asked[0].reason, asked[0].created_at) == (RequestKind.TRAIN, bob, "at once", now)
    assert (asked[0].handled_at, asked[0].outcome) == (None, None)


def test_a_request_is_handled_once(db: Database, bob: PersonId, now: datetime) -> None:
    asked = ask(db, bob, now)
    with db.write() as tx:
        handled = requests.handle(tx, asked.id, outcome="Run r1 is queued.", now=now + timedelta(seconds=1))
    assert (handled.handled_at, handled.outcome) == (now + timedelta(seconds=1), "Run r1 is queued.")
    assert requests.list_open(db.read()) == []
    with pytest.raises(AlreadyHandledError, match=f"request {asked.id} to be open"), db.write() as tx:
        requests.handle(tx, asked.id, outcome="Again.", now=now)
    assert requests.find_request(db.read(), asked.id) == handled


def test_a_dry_run_is_answered_with_what_it_has_foreseen_and_nothing_else_is(db: Database, bob: PersonId, now: datetime) -> None:
    one = Foreseen(id=ExampleId("k1"), wordings=2, rows=6, is_new=True)
    facts = {"rehearsed": 120, "stop": 2, "test": 3, "golden": 1, "guard": 9, "unwatched": 1, "tokens": 80, "steps": 320}
    forecast = Forecast(examples=(one,), seconds=None, **facts)
    dry, other = ask(db, bob, now, RequestKind.DRY_RUN), ask(db, bob, now)
    with db.write() as tx:
        handled = requests.handle(tx, dry.id, outcome="So.", forecast=forecast, now=now)
    assert read_forecast(handled.forecast or "") == forecast
    with pytest.raises(sqlite3.IntegrityError), db.write() as tx:
        requests.handle(tx, other.id, outcome="So.", forecast=forecast, now=now)


def test_an_unknown_request_is_not_found(db: Database, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="a request '9'"), db.write() as tx:
        requests.handle(tx, RequestId(9), outcome="Done.", now=now)


def test_only_a_person_asks_and_in_plain_text(db: Database, bob: PersonId, now: datetime) -> None:
    with pytest.raises(NotFoundError, match="a person 'nobody'"):
        ask(db, PersonId("nobody"), now)
    with pytest.raises(HostileTextError):
        ask(db, bob, now, reason="now\u202e")


@pytest.mark.parametrize("sql", ["outcome = 'done'", "handled_at = '2026'", "outcome = ' ', handled_at = '2026'", "kind = 'delete'"])
def test_a_request_that_contradicts_itself_is_refused(db: Database, bob: PersonId, now: datetime, sql: str) -> None:
    ask(db, bob, now)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), db.write() as tx:
        tx.execute(f"UPDATE requests SET {sql}")


def test_nothing_is_said_of_the_schedule_before_the_first_look(db: Database) -> None:
    assert requests.read_status(db.read()) is None


def test_the_schedule_says_its_newest_word(db: Database, now: datetime) -> None:
    with db.write() as tx:
        requests.publish_status(tx, is_due=True, reasons=[], next_look_at=None, now=now)
        requests.publish_status(tx, is_due=False, reasons=["12 of 50 approved."], next_look_at=now + timedelta(hours=14), now=now)
    said = requests.read_status(db.read())
    assert said is not None
    assert (said.is_due, said.reasons) == (False, ("12 of 50 approved.",))
    assert (said.next_look_at, said.updated_at) == (now + timedelta(hours=14), now)


def test_the_schedule_has_one_row(db: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), db.write() as tx:
        tx.execute("INSERT INTO schedule_status (id, is_due, reasons, updated_at) VALUES (2, 0, '[]', '2026')")


def test_a_run_may_be_asked_for_with_a_recipe_of_its_own(db: Database, bob: PersonId, now: datetime) -> None:
    with db.write() as tx:
        asked = requests.add_request(tx, RequestKind.TRAIN, person_id=bob, reason="", recipe=Recipe(rank=8), now=now)
    assert asked.recipe is not None
    assert read_recipe(asked.recipe) == Recipe(rank=8)
    assert ask(db, bob, now).recipe is None
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), db.write() as tx:
        requests.add_request(tx, RequestKind.CANCEL, person_id=bob, reason="", recipe=Recipe(), now=now)
