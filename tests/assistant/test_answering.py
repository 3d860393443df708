from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.answering import Answering
from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import LiveAssistant, make_bare_release
from assistant.engine.reply import Sampling
from assistant.errors import AlreadyAnsweringError, AssistantClosedError, TooManyAnswersError
from assistant.hot_swap import deploy_base
from feedback_db import adoption, conversations, erasure, people
from feedback_db.database import Database
from feedback_db.errors import NotFoundError, TurnReplacedError
from feedback_db.records import Channel, ConversationId, PersonId, Role, TurnId, TurnState
from tests.auditing import open_audit

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ANN, TALK = PersonId("ann"), ConversationId("c1")


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> BaseModel:
    return load_base_model(tiny_base, device="cpu")


@pytest.fixture
def live(base: BaseModel) -> Iterator[LiveAssistant]:
    with LiveAssistant(base) as assistant:
        assistant.swap_to(make_bare_release(base))
        yield assistant


@pytest.fixture
def db(tmp_path: Path, base: BaseModel) -> Iterator[Database]:
    with Database(tmp_path / "errata.db") as opened:
        deploy_base(opened, open_audit(opened), base, system_message="You help.", sampling=Sampling(max_tokens=40), now=NOW)
        with opened.write() as tx:
            people.add_visitor(tx, ANN, now=NOW)
            conversations.start_conversation(tx, TALK, person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
        yield opened


@pytest.fixture
def answering(db: Database, live: LiveAssistant) -> Answering:
    return Answering(db, live, lambda: NOW)


def test_an_answer_is_logged_though_nobody_follows_it(db: Database, answering: Answering) -> None:
    found = answering.ask(TALK, " hi ", person_id=ANN)
    found.wait()
    (turn,) = conversations.list_turns(db.read(), TALK)
    assert (turn.user_message, turn.reply) == ("hi", found.text.strip())
    assert answering.find(TALK) is None


def test_an_answer_under_way_is_found_again_and_is_the_only_one(answering: Answering) -> None:
    found = answering.ask(TALK, "hi", person_id=ANN)
    assert answering.find(TALK) is found
    with pytest.raises(AlreadyAnsweringError):
        answering.ask(TALK, "hi", person_id=ANN)
    found.stop()
    found.wait()


def test_a_person_has_two_answers_under_way_at_most_and_others_are_not_held_up(db: Database, answering: Answering) -> None:
    bob = PersonId("bob")
    with db.write() as tx:
        people.add_visitor(tx, bob, now=NOW)
        for talk, person in (("c2", ANN), ("c3", ANN), ("c4", bob)):
            conversations.start_conversation(tx, ConversationId(talk), person_id=person, channel=Channel.WEB, title="Hi", now=NOW)
    begun = [answering.ask(talk, "hi", person_id=ANN) for talk in (TALK, ConversationId("c2"))]
    with pytest.raises(TooManyAnswersError, match="at most 2 answers"):
        answering.ask(ConversationId("c3"), "hi", person_id=ANN)
    begun.append(answering.ask(ConversationId("c4"), "hi", person_id=bob))
    for found in begun:
        found.stop()
        found.wait()
    answering.ask(ConversationId("c3"), "hi", person_id=ANN).wait()


def test_answers_that_an_account_has_adopted_count_as_its_own(db: Database, answering: Answering) -> None:
    bob = PersonId("bob")
    with db.write() as tx:
        people.add_account(tx, bob, name="Bob", role=Role.END_USER, password_hash="x", now=NOW)
        conversations.start_conversation(tx, ConversationId("c2"), person_id=ANN, channel=Channel.WEB, title="Hi", now=NOW)
    begun = [answering.ask(talk, "hi", person_id=ANN) for talk in (TALK, ConversationId("c2"))]
    with db.write() as tx:
        adoption.adopt(tx, ANN, account=bob, now=NOW)
        conversations.start_conversation(tx, ConversationId("c3"), person_id=bob, channel=Channel.WEB, title="Hi", now=NOW)
    with pytest.raises(TooManyAnswersError):
        answering.ask(ConversationId("c3"), "hi", person_id=bob)
    for found in begun:
        found.stop()
        found.wait()
    assert [len(conversations.list_turns(db.read(), talk)) for talk in (TALK, ConversationId("c2"))] == [1, 1]


def test_a_stopped_answer_keeps_what_it_said(db: Database, answering: Answering) -> None:
    found = answering.ask(TALK, "hi", person_id=ANN)
    found.stop()
    found.wait()
    (turn,) = conversations.list_turns(db.read(), TALK)
    assert turn.state is TurnState.STOPPED


def test_a_refused_message_leaves_the_way_free(answering: Answering) -> None:
    with pytest.raises(NotFoundError):
        answering.ask(TALK, "hi", person_id=PersonId("bob"))
    answering.ask(TALK, "hi", person_id=ANN).wait()


def test_the_last_turn_is_answered_again_as_if_it_had_not_been(db: Database, answering: Answering) -> None:
    answering.ask(TALK, "hi", person_id=ANN).wait()
    (first,) = conversations.list_turns(db.read(), TALK)
    answering.ask(TALK, "hi", person_id=ANN, replaces=first.id).wait()
    (again,) = conversations.list_turns(db.read(), TALK)
    assert (again.replaces, again.reply, again.prompt_tokens) == (first.id, first.reply, first.prompt_tokens)
    with pytest.raises(TurnReplacedError):
        answering.ask(TALK, "hi", person_id=ANN, replaces=TurnId("no such"))


def test_a_conversation_that_is_erased_meanwhile_says_so(db: Database, answering: Answering) -> None:
    found = answering.ask(TALK, "hi", person_id=ANN)
    with db.write() as tx:
        erasure.erase_conversation(tx, TALK, now=NOW)
    found.wait()
    assert found.error is None or isinstance(found.error, NotFoundError)
    with pytest.raises(NotFoundError):
        conversations.find_conversation(db.read(), TALK, owner=ANN)


def test_whoever_closes_waits_until_all_that_was_said_is_logged(db: Database, answering: Answering) -> None:
    talks = [ConversationId(f"t{number}") for number in range(6)]
    with db.write() as tx:
        for talk in talks:
            people.add_visitor(tx, PersonId(f"by {talk}"), now=NOW)
            conversations.start_conversation(tx, talk, person_id=PersonId(f"by {talk}"), channel=Channel.WEB, title="Hi", now=NOW)
    found = [answering.ask(talk, "hi", person_id=PersonId(f"by {talk}")) for talk in talks]
    answering.close()
    assert all(one.is_ended for one in found)
    assert [len(conversations.list_turns(db.read(), talk)) for talk in talks] == [1] * 6
    with pytest.raises(AssistantClosedError):
        answering.ask(TALK, "hi", person_id=ANN)
