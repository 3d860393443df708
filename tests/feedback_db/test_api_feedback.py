import pytest

from feedback_db import api_feedback, api_keys
from feedback_db.api_keys import Scope
from feedback_db.database import Database
from feedback_db.errors import ClientKeyReusedError
from feedback_db.records import ApiKeyId, PersonId, TurnId
from tests.feedback_db.conftest import NOW

SHOP = ApiKeyId("shop")


@pytest.fixture
def noted(db: Database, ann: PersonId, turn: TurnId) -> Database:
    with db.write() as tx:
        api_keys.add_key(tx, SHOP, name="shop", token_hash="h", hint="", scopes={Scope.FEEDBACK}, made_by=ann, now=NOW)
        api_feedback.note_feedback(tx, "f1", key_id=SHOP, turn_id=turn, client_key="mine", content_hash="x", now=NOW)
    return db


def test_what_came_before_is_found_by_the_programs_own_key(noted: Database) -> None:
    assert api_feedback.find_noted(noted.read(), SHOP, "mine", content_hash="x") == "f1"
    assert api_feedback.find_noted(noted.read(), SHOP, "another", content_hash="x") is None
    assert api_feedback.find_noted(noted.read(), ApiKeyId("bank"), "mine", content_hash="x") is None


def test_another_feedback_under_the_same_key_is_refused(noted: Database) -> None:
    with pytest.raises(ClientKeyReusedError, match="Send a new idempotency key"):
        api_feedback.find_noted(noted.read(), SHOP, "mine", content_hash="y")
