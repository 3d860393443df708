from datetime import timedelta

import pytest

from feedback_db import erasure, password_links, people
from feedback_db.database import Database
from feedback_db.errors import NotFoundError
from feedback_db.records import PersonId, Role
from tests.feedback_db.conftest import NOW

ANN = PersonId("ann")
LATER = NOW + timedelta(days=1)


@pytest.fixture
def db(db: Database) -> Database:
    """Ann has an account and a link."""
    with db.write() as tx:
        people.add_account(tx, ANN, name="Ann", role=Role.REVIEWER, password_hash="x", now=NOW)
        password_links.open_link(tx, "h1", person_id=ANN, expires_at=LATER, now=NOW)
    return db


def is_good(db: Database, token_hash: str = "h1", *, late: bool = False) -> bool:
    return password_links.find_person_by_link(db.read(), token_hash, now=LATER if late else NOW) is not None


def test_a_link_leads_to_its_person_until_it_expires(db: Database) -> None:
    assert [is_good(db), is_good(db, "h2"), is_good(db, late=True)] == [True, False, False]


def test_only_the_newest_link_of_a_person_is_good(db: Database) -> None:
    with db.write() as tx:
        password_links.open_link(tx, "h2", person_id=ANN, expires_at=LATER, now=NOW)
    assert [is_good(db), is_good(db, "h2")] == [False, True]


def test_a_link_of_somebody_disabled_or_erased_is_not_good(db: Database) -> None:
    with db.write() as tx:
        people.disable(tx, ANN, now=NOW)
    assert not is_good(db)
    with db.write() as tx:
        people.enable(tx, ANN)
        erasure.erase_person(tx, ANN, now=NOW)
    assert not is_good(db)


def test_a_link_that_was_ended_stays_so(db: Database) -> None:
    with db.write() as tx:
        password_links.end_links(tx, ANN, now=NOW)
    assert not is_good(db)


def test_nobody_unknown_gets_a_link(db: Database) -> None:
    with pytest.raises(NotFoundError), db.write() as tx:
        password_links.open_link(tx, "h2", person_id=PersonId("nobody"), expires_at=LATER, now=NOW)
