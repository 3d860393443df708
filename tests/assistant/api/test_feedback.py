"""What programs say of replies, over HTTP."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from openai import OpenAI

from feedback_db import conversations, corrections, told_turns
from feedback_db.api_keys import Scope
from feedback_db.records import Correction, CorrectionId, Rating, TurnId
from tests.assistant.api.conftest import Served

pytestmark = pytest.mark.slow


class Program:
    """A program with a key, which has had one reply."""

    def __init__(self, served: Served) -> None:
        token = served.make_key(Scope.CHAT, Scope.FEEDBACK)
        self.db, self.chat = served.site.errata.db, uuid.uuid4().hex
        self.http = httpx.Client(base_url=served.address, headers={"authorization": f"Bearer {token}"})
        with OpenAI(base_url=f"{served.address}/v1", api_key=token, max_retries=0) as client:
            asked: Any = [{"role": "user", "content": f"hi {uuid.uuid4().hex}"}]
            told = {"chat_id": self.chat, "message_id": "m1"}
            said = client.chat.completions.create(model="support", messages=asked, user="u1", max_tokens=4, extra_body={"errata": told})
        self.completion, self.reply = said.id, said.choices[0].message.content or ""
        self.turn = conversations.list_context(self.db.read(), TurnId(said.id.removeprefix("chatcmpl-")))[-1]
        assert self.turn.key_id is not None
        self.owner = told_turns.find_told_turn(self.db.read(), self.turn.id, key_id=self.turn.key_id)[1]

    def say(self, metric: str, value: object, client_key: str | None = None, **more: object) -> httpx.Response:
        body = {"inference_id": self.completion, "metric_name": metric, "value": value, **more}
        return self.http.post("/v1/feedback", json=body, headers={} if client_key is None else {"idempotency-key": client_key})

    def list_ratings(self) -> list[Rating]:
        return conversations.list_ratings(self.db.read(), self.turn.conversation_id, person_id=self.owner)

    def list_corrections(self) -> list[Correction]:
        rows = self.db.read().execute("SELECT id FROM corrections WHERE turn_id = ?", [self.turn.id]).fetchall()
        return [corrections.find_correction(self.db.read(), CorrectionId(row["id"])) for row in rows]


@pytest.fixture
def start_program(served: Served) -> Iterator[Callable[[], Program]]:
    """Start programs, and end them with the test."""
    started: list[Program] = []

    def start() -> Program:
        started.append(Program(served))
        return started[-1]

    yield start
    for program in started:
        program.http.close()


@pytest.fixture
def program(start_program: Callable[[], Program]) -> Program:
    return start_program()


@pytest.mark.parametrize(("value", "is_good"), [(True, True), (False, False), (1, True), (-1, False), (0, False), ("up", True)])
def test_a_rating_is_the_users(program: Program, value: object, is_good: bool) -> None:
    said = program.say("rating", value, tags={"reason": "wrong"})
    assert said.status_code == 200
    assert said.json().keys() == {"feedback_id"}
    assert [(one.is_good, one.reason) for one in program.list_ratings()] == [(is_good, "wrong")]


def test_a_rating_is_taken_back_by_null(program: Program) -> None:
    program.say("rating", True)
    assert program.say("rating", None).status_code == 200
    assert program.list_ratings() == []


def test_a_comment_joins_the_rating_before_it(program: Program) -> None:
    program.say("rating", True)
    program.say("comment", "nice")
    assert [(one.is_good, one.comment) for one in program.list_ratings()] == [(True, "nice")]


def test_a_bare_comment_says_that_something_is_wrong(program: Program) -> None:
    program.say("comment", "hm")
    assert [(one.is_good, one.comment) for one in program.list_ratings()] == [(False, "hm")]


@pytest.mark.parametrize("value", ["The right one.", [{"type": "text", "text": "The right one."}]])
def test_a_demonstration_waits_in_the_review_queue(program: Program, value: object) -> None:
    said = program.say("demonstration", value, tags={"consent": "true"})
    assert said.status_code == 200
    (correction,) = program.list_corrections()
    assert (correction.corrected_reply, correction.author_id) == ("The right one.", program.owner)
    row = program.db.read().execute("SELECT 1 FROM queue_items JOIN turns USING (question_key) WHERE turns.id = ?", [program.turn.id])
    assert row.fetchone() is not None
    assert conversations.has_consent(program.db.read(), program.turn.conversation_id)


def test_a_reply_is_named_as_the_program_named_it(program: Program) -> None:
    named = {"inference_id": None, "chat_id": program.chat, "message_id": "m1"}
    assert program.say("rating", True, **named).status_code == 200
    assert [one.turn_id for one in program.list_ratings()] == [program.turn.id]


def test_another_programs_name_of_a_reply_is_not_found(start_program: Callable[[], Program], program: Program) -> None:
    named = {"inference_id": None, "chat_id": program.chat, "message_id": "m1"}
    assert start_program().say("rating", True, **named).status_code == 404
    assert program.say("rating", True, **{**named, "message_id": "m2"}).status_code == 404
    assert program.say("rating", True, **{**named, "chat_id": "c2"}).status_code == 404


def test_nobody_else_gives_the_users_word_on_training(program: Program) -> None:
    refused = program.say("demonstration", "Right.", tags={"user": "agent 7", "consent": "true"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tags.consent")
    for _ in range(2):
        assert program.say("rating", True, tags={"consent": "false"}).status_code == 200
    rows = program.db.read().execute("SELECT given FROM consents WHERE conversation_id = ?", [program.turn.conversation_id])
    assert [row["given"] for row in rows] == [0]


def test_a_demonstration_is_his_whom_the_program_names(program: Program) -> None:
    program.say("demonstration", "The right one.", tags={"user": "agent 7"})
    (correction,) = program.list_corrections()
    assert correction.author_id != program.owner


def test_the_same_sent_twice_under_one_key_counts_once(program: Program) -> None:
    first, second = (program.say("demonstration", "Right.", client_key="k") for _ in range(2))
    assert first.json() == second.json()
    assert len(program.list_corrections()) == 1
    other = program.say("demonstration", "Another.", client_key="k")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")


def test_the_same_key_at_another_program_is_another(start_program: Callable[[], Program], program: Program) -> None:
    other = start_program()
    assert program.say("rating", True, client_key="k").json() != other.say("rating", True, client_key="k").json()


def test_a_dry_run_says_what_is_wrong_and_keeps_nothing(program: Program) -> None:
    assert program.say("demonstration", "Right.", dryrun=True).status_code == 200
    assert program.say("demonstration", "", dryrun=True).status_code == 400
    assert (program.list_corrections(), program.list_ratings()) == ([], [])


def test_a_second_correction_waits_for_the_first(program: Program) -> None:
    program.say("demonstration", "Right.")
    refused = program.say("demonstration", "Righter.")
    assert refused.status_code == 409
    assert len(program.list_corrections()) == 1


def test_another_programs_reply_is_not_found(start_program: Callable[[], Program], program: Program) -> None:
    other = start_program()
    for completion in (program.completion, "chatcmpl-nothing", program.turn.id[:-1]):
        other.completion = completion
        for metric, value in (("rating", True), ("comment", "x"), ("demonstration", "x")):
            assert other.say(metric, value).status_code == 404
    assert program.list_ratings() == []


@pytest.mark.parametrize(
    ("metric", "value", "more"),
    [
        ("rating", 3, {}),
        ("rating", "maybe", {}),
        ("rating", [True], {}),
        ("comment", 1, {}),
        ("comment", "", {}),
        ("comment", [], {}),
        ("rating", True, {"tags": {"user": "a\nb"}}),
        ("demonstration", {"text": "x"}, {}),
        ("demonstration", "a\u202eb", {}),
        ("demonstration", "x" * 8001, {}),
        ("score", 1, {}),
        ("rating", True, {"tags": {"user": ""}}),
        ("rating", True, {"tags": {"consent": "maybe"}}),
        ("rating", True, {"episode_id": "e"}),
        ("rating", True, {"inference_id": 7}),
        ("rating", True, {"inference_id": None}),
        ("rating", True, {"inference_id": None, "chat_id": "c"}),
        ("rating", True, {"inference_id": None, "message_id": "m1"}),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_sentence(program: Program, metric: str, value: object, more: dict[str, Any]) -> None:
    refused = program.say(metric, value, **more)
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["message"]
    assert program.list_ratings() == []


def test_the_reply_itself_is_no_correction(program: Program) -> None:
    assert program.say("demonstration", f" {program.reply} ").status_code == 400
