import sqlite3
from datetime import datetime, timedelta

import pytest

from feedback_db import erasure, people
from feedback_db.database import Database
from feedback_db.errors import EmptyTextError, HostileTextError, NameTakenError, NotFoundError
from feedback_db.records import PersonId, PersonKind, Role


def test_an_account_is_found_by_its_name_whatever_its_case(db: Database, ann: PersonId) -> None:
    found = people.find_account(db.read(), " ANN ")
    assert found is not None
    assert (found[0].id, found[1]) == (ann, "$argon2id$")


def test_an_unknown_name_has_no_account(db: Database) -> None:
    assert people.find_account(db.read(), "nobody") is None


def test_a_name_is_taken_whatever_its_case(db: Database, ann: PersonId, now: datetime) -> None:
    with pytest.raises(NameTakenError, match="'Ann' is taken"), db.write() as tx:
        people.add_account(tx, PersonId("x"), name="Ann", role=Role.END_USER, password_hash="h", now=now)


@pytest.mark.parametrize(("name", "error"), [("  ", EmptyTextError), ("an\u200bn", HostileTextError), ("a\x00b", HostileTextError)])
def test_a_name_that_cannot_be_one_is_refused(db: Database, now: datetime, name: str, error: type[Exception]) -> None:
    with pytest.raises(error), db.write() as tx:
        people.add_account(tx, PersonId("x"), name=name, role=Role.END_USER, password_hash="h", now=now)


def test_a_visitor_can_never_have_a_role(db: Database, now: datetime) -> None:
    with db.write() as tx:
        visitor = people.add_visitor(tx, PersonId("v"), now=now)
    assert (visitor.kind, visitor.role) == (PersonKind.VISITOR, Role.END_USER)
    with pytest.raises(NotFoundError, match="an account"), db.write() as tx:
        people.set_role(tx, visitor.id, Role.ADMIN)
    with pytest.raises(sqlite3.IntegrityError), db.write() as tx:
        tx.execute("UPDATE people SET role = 'admin' WHERE id = 'v'")


def test_an_external_person_is_added_once(db: Database, now: datetime) -> None:
    with db.write() as tx:
        first = people.find_or_add_external(tx, PersonId("e1"), name="user-17", now=now)
        again = people.find_or_add_external(tx, PersonId("e2"), name="user-17", now=now)
    assert first == again


def test_an_account_and_an_external_person_may_have_one_name(db: Database, now: datetime) -> None:
    def find_operator(key: str) -> PersonId:
        with db.write() as tx:
            return people.find_or_add_external(tx, PersonId(key), name="command line", now=now).id

    with db.write() as tx:
        people.add_account(tx, PersonId("a1"), name="Command Line", role=Role.ADMIN, password_hash="h", now=now)
    assert find_operator("e1") == find_operator("e2") == "e1"
    account = people.find_account(db.read(), "command line")
    assert account is not None
    assert account[0].id == "a1"


def test_disabling_keeps_the_first_moment_and_enabling_undoes_it(db: Database, ann: PersonId, now: datetime) -> None:
    with db.write() as tx:
        people.disable(tx, ann, now=now)
        people.disable(tx, ann, now=now + timedelta(days=1))
    assert people.find_person(db.read(), ann).disabled_at == now
    assert people.count_accounts(db.read()) == 0
    with db.write() as tx:
        people.enable(tx, ann)
    assert people.find_person(db.read(), ann).disabled_at is None


def test_a_role_can_be_changed(db: Database, ann: PersonId) -> None:
    with db.write() as tx:
        people.set_role(tx, ann, Role.REVIEWER)
    assert people.find_person(db.read(), ann).role is Role.REVIEWER


def test_nobody_is_not_found(db: Database) -> None:
    with pytest.raises(NotFoundError, match="a person 'nobody'"):
        people.find_person(db.read(), PersonId("nobody"))


def test_each_role_includes_the_ones_before_it() -> None:
    assert [[role.includes(other) for other in Role] for role in Role] == [[True, False, False], [True, True, False], [True, True, True]]


def test_people_are_found_by_their_ids_whatever_became_of_them(db: Database, now: datetime) -> None:
    with db.write() as tx:
        for name in ("Ann", "Bob"):
            people.add_account(tx, PersonId(name), name=name, role=Role.ADMIN, password_hash="x", now=now)
        people.add_visitor(tx, PersonId("v"), now=now)
        erasure.erase_person(tx, PersonId("Bob"), now=now)
    found = {one.id: (one.name, one.erased_at) for one in people.find_people(db.read(), ["Ann", "Bob", "v", "release 3"])}
    assert found == {"Ann": ("Ann", None), "Bob": ("", now), "v": ("", None)}
