from collections.abc import Sequence
from dataclasses import replace

import pytest

from feedback_db import api_keys, conversations, erasure, examples, people, told_turns
from feedback_db.api_keys import Scope
from feedback_db.database import Database
from feedback_db.errors import NotFoundError
from feedback_db.records import ApiKeyId, Channel, PersonId, Turn, TurnId, TurnState
from feedback_db.told_turns import Caller, Context
from feedback_db.training_records import Release
from tests.feedback_db.conftest import NOW
from tests.logged_replies import make_logged_reply

HI, WHERE, WHEN = ("hi", "Hello."), ("where?", "Here."), ("when?", "Now.")


@pytest.fixture
def db(db: Database, ann: PersonId, bare_base: Release) -> Database:
    """Two programs have keys."""
    with db.write() as tx:
        for name in ("shop", "bank"):
            key_id = ApiKeyId(name)
            api_keys.add_key(tx, key_id, name=name, token_hash=name, hint="", scopes={Scope.CHAT}, made_by=ann, now=NOW)
    return db


class Program:
    """A program that asks through a key."""

    def __init__(self, db: Database, key: str = "shop", user: str = "u1") -> None:
        self.db, self.caller, self.asked = db, Caller(key_id=ApiKeyId(key), key_name=key, user=user), 0

    def ask(
        self,
        said: Sequence[tuple[str, str]],
        *,
        chat_id: str | None = None,
        message_id: str | None = None,
        system: str | None = None,
        consent: bool | None = None,
        state: TurnState = TurnState.COMPLETE,
    ) -> Turn:
        """Ask the last of what is said, whose reply is what is replied."""
        *history, (question, reply) = said
        context = Context(chat_id=chat_id, message_id=message_id, history=tuple(history), system=system, consent=consent, wording="1")
        logged = replace(make_logged_reply(question, reply), state=state, error="broken" if state is TurnState.FAILED else None)
        self.asked += 1
        turn_id = TurnId(f"{self.caller.person_name} {self.asked}")
        with self.db.write() as tx:
            return told_turns.log_told_turn(tx, turn_id, caller=self.caller, context=context, logged=logged, now=NOW)


def list_said(db: Database, turn: Turn) -> list[tuple[str, str]]:
    return [(one.user_message, one.reply) for one in conversations.list_turns(db.read(), turn.conversation_id)]


def test_a_chat_goes_on_where_the_program_names_it(db: Database) -> None:
    shop = Program(db)
    first, second = shop.ask([HI], chat_id="c"), shop.ask([HI, WHERE], chat_id="c")
    assert second.conversation_id == first.conversation_id
    assert (second.told_history, second.key_id, second.position) == (None, "shop", 1)
    assert list_said(db, second) == [HI, WHERE]


def test_a_chat_without_a_name_goes_on_where_the_same_was_said_to_the_same_user(db: Database) -> None:
    shop = Program(db)
    first = shop.ask([HI])
    assert shop.ask([HI, WHERE]).conversation_id == first.conversation_id
    assert shop.ask([HI, WHERE, WHEN]).conversation_id == first.conversation_id
    assert shop.ask([HI]).conversation_id != first.conversation_id
    assert Program(db, user="u2").ask([HI, WHERE]).conversation_id != first.conversation_id


def test_chats_of_strangers_never_become_one(db: Database) -> None:
    strangers = Program(db, user="")
    first = strangers.ask([HI])
    second = strangers.ask([HI, WHERE])
    assert second.conversation_id != first.conversation_id
    assert second.told_history == (HI,)


def test_the_same_names_at_two_programs_are_two_people(db: Database) -> None:
    first, second = Program(db, "shop").ask([HI], chat_id="c"), Program(db, "bank").ask([HI, WHERE], chat_id="c")
    assert first.conversation_id != second.conversation_id


def test_names_that_differ_in_case_are_two_people(db: Database) -> None:
    first, second = Program(db, user="aB").ask([HI], chat_id="c"), Program(db, user="Ab").ask([HI, WHERE], chat_id="c")
    assert first.conversation_id != second.conversation_id


def test_asked_again_is_a_turn_in_the_place_of_the_last(db: Database) -> None:
    shop = Program(db)
    shop.ask([HI], chat_id="c")
    wrong = shop.ask([HI, WHERE], chat_id="c")
    again = shop.ask([HI, ("where?", "There.")], chat_id="c")
    assert again.replaces == wrong.id
    assert list_said(db, again) == [HI, ("where?", "There.")]


def test_another_question_after_less_than_was_said_replaces_nothing(db: Database) -> None:
    shop = Program(db)
    first = shop.ask([HI], chat_id="c")
    other = shop.ask([WHERE], chat_id="c")
    assert (other.conversation_id, other.replaces, other.told_history) == (first.conversation_id, None, ())
    assert examples.list_history(db.read(), other.id) == []
    assert shop.ask([WHERE, WHEN], chat_id="c").told_history is None


def test_after_a_failed_reply_the_chat_goes_on(db: Database) -> None:
    shop = Program(db)
    shop.ask([HI], chat_id="c", state=TurnState.FAILED)
    again = shop.ask([HI], chat_id="c")
    assert (again.replaces, again.told_history) == (None, None)
    assert shop.ask([HI, WHERE], chat_id="c").told_history is None


def test_what_the_log_does_not_hold_is_kept_as_told_and_only_once(db: Database) -> None:
    shop = Program(db)
    moved = shop.ask([HI, WHERE], chat_id="c")
    assert moved.told_history == (HI,)
    assert shop.ask([HI, WHERE, WHEN], chat_id="c").told_history is None
    branched = shop.ask([("hi", "Edited."), WHEN], chat_id="c")
    assert branched.told_history == (("hi", "Edited."),)
    again = shop.ask([("hi", "Edited."), ("when?", "Later.")], chat_id="c")
    assert (again.replaces, again.told_history) == (branched.id, branched.told_history)


def test_an_example_holds_what_was_told_before_it(db: Database) -> None:
    shop = Program(db)
    shop.ask([("lost", "Lost."), HI], chat_id="c")
    moved = shop.ask([("lost", "Lost."), ("x", "Y."), WHERE], chat_id="c")
    last = shop.ask([("lost", "Lost."), ("x", "Y."), WHERE, WHEN], chat_id="c")
    assert examples.list_history(db.read(), moved.id) == [("lost", "Lost."), ("x", "Y.")]
    assert examples.list_history(db.read(), last.id) == [("lost", "Lost."), ("x", "Y."), WHERE]
    assert [turn.id for turn in conversations.list_context(db.read(), last.id)] == [moved.id, last.id]


def test_a_question_after_a_told_history_shares_no_key_with_one_that_opens_a_chat(db: Database) -> None:
    shop = Program(db)
    turns = [shop.ask([WHERE]), shop.ask([WHERE]), shop.ask([HI, WHERE], chat_id="c")]
    keys = [db.read().execute("SELECT question_key FROM turns WHERE id = ?", [turn.id]).fetchone()[0] for turn in turns]
    assert keys[0] == keys[1] != keys[2]


def test_only_what_was_asked_of_the_assistant_itself_and_first_opens_a_conversation(db: Database) -> None:
    shop = Program(db)
    shop.ask([HI, ("late", "Late.")], chat_id="1", consent=True)
    shop.ask([("odd", "Odd.")], chat_id="2", consent=True, system="You are a pirate.")
    shop.ask([WHERE], chat_id="3", consent=True)
    assert [one.text for one in conversations.list_opening_questions(db.read(), limit=9)] == ["where?"]


def test_a_reply_that_was_asked_for_again_under_its_name_is_the_newest(db: Database) -> None:
    shop, bank = Program(db), Program(db, "bank")
    shop.ask([HI], chat_id="c", message_id="m", state=TurnState.FAILED)
    again = shop.ask([HI], chat_id="c", message_id="m")
    elsewhere, others = shop.ask([HI], chat_id="d", message_id="m"), bank.ask([HI], chat_id="c", message_id="m")
    found = {
        (chat_id, key): told_turns.find_named_turn(db.read(), chat_id, "m", key_id=ApiKeyId(key))
        for chat_id, key in (("c", "shop"), ("d", "shop"), ("c", "bank"))
    }
    assert found == {("c", "shop"): again.id, ("d", "shop"): elsewhere.id, ("c", "bank"): others.id}
    with pytest.raises(NotFoundError):
        told_turns.find_named_turn(db.read(), "d", "m", key_id=ApiKeyId("bank"))


def test_consent_is_recorded_where_it_is_news(db: Database) -> None:
    shop = Program(db)
    turn = shop.ask([HI], chat_id="c", consent=True)
    assert conversations.has_consent(db.read(), turn.conversation_id)
    shop.ask([HI, WHERE], chat_id="c", consent=True)
    shop.ask([HI, WHERE, WHEN], chat_id="c")
    assert db.read().execute("SELECT count(*) FROM consents").fetchone()[0] == 1
    shop.ask([HI, WHERE, WHEN, WHERE], chat_id="c", consent=False)
    assert not conversations.has_consent(db.read(), turn.conversation_id)


def test_the_clients_system_message_and_channel_are_kept(db: Database) -> None:
    turn = Program(db).ask([HI], system="Be brief.")
    conversation = conversations.find_conversation(
        db.read(), turn.conversation_id, owner=told_turns.find_told_turn(db.read(), turn.id, key_id=ApiKeyId("shop"))[1]
    )
    assert (turn.told_system, conversation.channel) == ("Be brief.", Channel.API)


def test_a_turn_is_found_with_its_own_key_only(db: Database) -> None:
    turn = Program(db).ask([HI])
    assert told_turns.find_told_turn(db.read(), turn.id, key_id=ApiKeyId("shop"))[0] == turn
    with pytest.raises(NotFoundError, match="a completion of this key"):
        told_turns.find_told_turn(db.read(), turn.id, key_id=ApiKeyId("bank"))


def test_a_key_that_follows_one_of_its_name_goes_on_with_its_chats(db: Database, ann: PersonId) -> None:
    turn = Program(db).ask([HI], chat_id="c")
    with db.write() as tx:
        api_keys.revoke_key(tx, ApiKeyId("shop"), now=NOW)
        api_keys.add_key(tx, ApiKeyId("k2"), name="shop", token_hash="2", hint="", scopes={Scope.CHAT}, made_by=ann, now=NOW)
    follower = Program(db)
    follower.caller, follower.asked = replace(follower.caller, key_id=ApiKeyId("k2")), 10
    assert follower.ask([HI, WHERE], chat_id="c").conversation_id == turn.conversation_id


def test_an_erased_person_leaves_nothing_told(db: Database) -> None:
    shop = Program(db)
    shop.ask([("secret", "Kept."), HI], chat_id="c", system="secret system")
    person = people.find_or_add_external
    with db.write() as tx:
        found = person(tx, PersonId("new"), name=shop.caller.person_name, now=NOW)
        erasure.erase_person(tx, found.id, now=NOW)
    db.erase_traces()
    assert b"secret" not in db.path.read_bytes()
