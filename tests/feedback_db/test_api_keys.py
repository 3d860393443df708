import sqlite3
from datetime import timedelta

import pytest

from feedback_db import api_keys
from feedback_db.api_keys import ApiKey, Scope
from feedback_db.database import Database
from feedback_db.errors import KeyNameError, NameTakenError, NotFoundError
from feedback_db.records import ApiKeyId, PersonId
from tests.feedback_db.conftest import NOW


def add(db: Database, ann: PersonId, name: str = "shop", number: int = 1) -> ApiKey:
    with db.write() as tx:
        return api_keys.add_key(
            tx,
            ApiKeyId(f"k{number}"),
            name=name,
            token_hash=f"h{number}",
            hint="wxyz",
            scopes={Scope.CHAT, Scope.FEEDBACK},
            made_by=ann,
            now=NOW,
        )


def test_a_key_is_found_by_the_hash_of_its_token_until_it_is_revoked(db: Database, ann: PersonId) -> None:
    key = add(db, ann)
    assert api_keys.find_key_by_token(db.read(), "h1") == key
    assert api_keys.find_key_by_token(db.read(), "h2") is None
    with db.write() as tx:
        revoked = api_keys.revoke_key(tx, key.id, now=NOW)
        assert api_keys.revoke_key(tx, key.id, now=NOW + timedelta(days=1)) == revoked
    assert api_keys.find_key_by_token(db.read(), "h1") is None


def test_one_key_a_name_whatever_its_case_until_it_is_revoked(db: Database, ann: PersonId) -> None:
    add(db, ann)
    with pytest.raises(NameTakenError, match="no key has"):
        add(db, ann, "SHOP", 2)
    with db.write() as tx:
        api_keys.revoke_key(tx, ApiKeyId("k1"), now=NOW)
    assert [key.id for key in (add(db, ann, "Shop", 2), *api_keys.list_keys(db.read()))] == ["k2", "k2", "k1"]


def test_a_slash_is_for_the_names_of_people(db: Database, ann: PersonId) -> None:
    with pytest.raises(KeyNameError, match="without a slash"):
        add(db, ann, "shop/ann")


def test_the_last_use_is_noted_once_a_minute(db: Database, ann: PersonId) -> None:
    key = add(db, ann)
    assert api_keys.is_use_to_note(key, now=NOW)
    with db.write() as tx:
        api_keys.note_use(tx, key.id, now=NOW)
    used = api_keys.find_key(db.read(), key.id)
    assert used.used_at == NOW
    assert [api_keys.is_use_to_note(used, now=NOW + timedelta(seconds=seconds)) for seconds in (59, 60)] == [False, True]


def test_a_key_never_changes_what_it_opens(db: Database, ann: PersonId) -> None:
    add(db, ann)
    with pytest.raises(sqlite3.IntegrityError, match="only used and revoked"), db.write() as tx:
        tx.execute("""UPDATE api_keys SET scopes = '["admin"]'""")
    with pytest.raises(sqlite3.IntegrityError), db.write() as tx:
        api_keys.add_key(tx, ApiKeyId("k9"), name="x", token_hash="h9", hint="", scopes=set(), made_by=ann, now=NOW)


def test_an_unknown_key_is_not_found(db: Database) -> None:
    with pytest.raises(NotFoundError, match="a key"):
        api_keys.find_key(db.read(), ApiKeyId("none"))
