"""OpenAI's own client against a running server."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openai import APIError, APIStatusError, AuthenticationError, BadRequestError, NotFoundError, OpenAI

from feedback_db import conversations, releases
from feedback_db.api_keys import Scope
from feedback_db.records import TurnId, TurnState
from tests.assistant.api.conftest import Served

pytestmark = pytest.mark.slow
HI: list[Any] = [{"role": "user", "content": "hi there"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def find_turn(served: Served, completion_id: str) -> conversations.Turn:
    return conversations.list_context(served.site.errata.db.read(), TurnId(completion_id.removeprefix("chatcmpl-")))[-1]


def wait_for_turn(served: Served, completion_id: str) -> conversations.Turn:
    """Return a turn once it is logged: who has gone away is not told when."""
    waited = threading.Event()
    for _ in range(200):
        row = served.site.errata.db.read().execute("SELECT 1 FROM turns WHERE id = ?", [completion_id.removeprefix("chatcmpl-")]).fetchone()
        if row is not None:
            return find_turn(served, completion_id)
        waited.wait(0.05)
    raise AssertionError("the turn was not logged")


def test_a_reply_as_a_whole_says_which_version_wrote_it_and_is_logged(served: Served, client: OpenAI) -> None:
    said = client.chat.completions.create(model="support", messages=HI, user="u1", metadata={"chat_id": "c1", "consent": "true"})
    turn = find_turn(served, said.id)
    assert (said.model, said.object, said.choices[0].finish_reason) == ("support@0", "chat.completion", "length")
    assert said.choices[0].message.content == turn.reply != ""
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (turn.prompt_tokens, turn.reply_tokens)
    assert said.usage.total_tokens == turn.prompt_tokens + turn.reply_tokens
    assert (turn.user_message, turn.version, turn.state) == ("hi there", 0, TurnState.COMPLETE)
    assert conversations.has_consent(served.site.errata.db.read(), turn.conversation_id)


def test_a_stream_says_the_same_as_the_whole_with_usage_at_its_end(served: Served, client: OpenAI) -> None:
    whole = client.chat.completions.create(model="support", messages=HI)
    chunks = list(client.chat.completions.create(model="support", messages=HI, stream=True, stream_options={"include_usage": True}))
    told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert told.strip() == whole.choices[0].message.content
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert find_turn(served, chunks[0].id).reply == told.strip()


def test_without_asking_for_it_no_usage_is_streamed(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="support", messages=HI, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_the_next_message_goes_on_with_the_conversation(served: Served, client: OpenAI) -> None:
    first = client.chat.completions.create(model="support", messages=HI, user="u2")
    said = [*HI, {"role": "assistant", "content": first.choices[0].message.content}, {"role": "user", "content": "and then?"}]
    second = client.chat.completions.create(model="support", messages=said, user="u2")
    turns = [find_turn(served, one.id) for one in (first, second)]
    assert turns[0].conversation_id == turns[1].conversation_id
    assert [turn.position for turn in turns] == [0, 1]


def test_sampling_is_the_requests_own(served: Served, client: OpenAI) -> None:
    said = client.chat.completions.create(model="support", messages=HI, max_tokens=3, temperature=0.7, seed=5)
    assert said.usage is not None
    assert said.usage.completion_tokens == 3
    row = served.site.errata.db.read().execute("SELECT sampling FROM turns WHERE id = ?", [find_turn(served, said.id).id]).fetchone()
    assert '"seed": 5' in row["sampling"]
    again = client.chat.completions.create(model="support", messages=HI, max_completion_tokens=3, temperature=0.7, seed=5)
    assert again.choices[0].message.content == said.choices[0].message.content


def test_a_stop_text_ends_the_reply_before_itself(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="support", messages=HI).choices[0].message.content
    assert whole is not None
    stop = whole[5:7]
    said = client.chat.completions.create(model="support", messages=HI, stop=[stop])
    assert said.choices[0].finish_reason == "stop"
    assert said.choices[0].message.content == whole[: whole.index(stop)].strip()


def test_models_are_the_live_name_and_each_version(served: Served, client: OpenAI) -> None:
    listed = client.models.list().data
    assert [model.id for model in listed] == ["support", "support@0"]
    base = Path(releases.find_release(served.site.errata.db.read(), 0).base)
    assert base.is_absolute()
    assert all(model.model_extra == {"root": "support@0", "parent": base.name} for model in listed)
    assert client.models.retrieve("support@0").owned_by == "errata"
    with pytest.raises(NotFoundError, match="none named 'gpt-4'"):
        client.models.retrieve("gpt-4")


@pytest.mark.parametrize("model", ["gpt-4", "support@", "support@9", "support@1e9", "support@-1", ""])
def test_an_unknown_model_is_not_found(client: OpenAI, model: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        client.chat.completions.create(model=model, messages=HI)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("parameter", "named"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": TOOLS, "tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"extra_body": {"tempreature": 1}}, "tempreature"),
        ({"metadata": {"consent": "maybe"}}, "metadata.consent"),
        ({"user": "x" * 201}, "user"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "hello"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": "a\u202eb"}]}, None),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(client: OpenAI, parameter: dict[str, Any], named: str | None) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(**{"model": "support", "messages": HI, **parameter})
    assert refused.value.type == "invalid_request_error"
    assert (refused.value.param or "").startswith(named or "")
    assert "Expected" in refused.value.message or "Input" in refused.value.message or "should" in refused.value.message


def test_what_is_so_anyway_or_changes_nothing_is_let_pass(client: OpenAI) -> None:
    client.chat.completions.create(
        model="support",
        messages=[{"role": "developer", "content": "Be brief."}, {"role": "assistant", "content": "Welcome!"}, *HI],
        n=1,
        logprobs=False,
        frequency_penalty=0,
        presence_penalty=0.0,
        response_format={"type": "text"},
        tools=TOOLS,
        tool_choice="auto",
        store=False,
        service_tier="auto",
        max_tokens=1,
    )


def test_texts_of_several_parts_and_messages_are_joined(served: Served, client: OpenAI) -> None:
    parts: Any = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    said = client.chat.completions.create(model="support", messages=[{"role": "user", "content": parts}, *HI], max_tokens=1)
    assert find_turn(served, said.id).user_message == "one\ntwo\n\nhi there"


def test_what_a_host_keeps_for_itself_is_told_beside_it(served: Served, client: OpenAI) -> None:
    told = {"chat_id": "c9", "message_id": "m1", "consent": True}
    said = client.chat.completions.create(
        model="support", messages=HI, metadata={"chat_id": "mine"}, max_tokens=1, extra_body={"errata": told}
    )
    reader, turn = served.site.errata.db.read(), find_turn(served, said.id)
    row = reader.execute("SELECT chat_id FROM conversations WHERE id = ?", [turn.conversation_id]).fetchone()
    assert row["chat_id"] == "c9"
    assert conversations.has_consent(reader, turn.conversation_id)


def test_what_a_program_wants_of_its_own_accord_is_refused_and_not_logged(served: Served, client: OpenAI) -> None:
    def count_turns() -> int:
        return int(served.site.errata.db.read().execute("SELECT count(*) FROM turns").fetchone()[0])

    before = count_turns()
    with pytest.raises(BadRequestError, match="title_generation"):
        client.chat.completions.create(model="support", messages=HI, extra_headers={"x-errata-task": "title_generation"})
    assert count_turns() == before
    client.chat.completions.create(model="support", messages=HI, max_tokens=1, extra_headers={"x-errata-task": ""})
    assert count_turns() == before + 1


def test_a_prompt_that_fills_the_context_is_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model="support", messages=[{"role": "user", "content": "word " * 5000}])
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


@pytest.mark.parametrize("key", ["errata-wrong", "x" * 5000])
def test_with_a_wrong_key_nothing_is_answered(served: Served, key: str) -> None:
    with OpenAI(base_url=f"{served.address}/v1", api_key=key, max_retries=0) as nobody:
        with pytest.raises(AuthenticationError) as refused:
            nobody.models.list()
        assert refused.value.code == "invalid_api_key"


def test_who_goes_away_from_a_stream_ends_it(served: Served, client: OpenAI) -> None:
    stream = client.chat.completions.create(model="support", messages=HI, stream=True, max_tokens=400, extra_body={"stop": []})
    first = next(iter(stream))
    stream.close()
    turn = wait_for_turn(served, first.id)
    assert turn.state is TurnState.STOPPED
    assert turn.reply_tokens < 400


def test_who_goes_away_from_a_whole_reply_ends_it(served: Served, client: OpenAI) -> None:
    before = served.site.errata.db.read().execute("SELECT count(*) FROM turns WHERE state = 'stopped'").fetchone()[0]
    with pytest.raises(APIError):
        client.with_options(timeout=0.2).chat.completions.create(model="support", messages=HI, max_tokens=480)
    waited = threading.Event()
    for _ in range(200):
        if served.site.errata.db.read().execute("SELECT count(*) FROM turns WHERE state = 'stopped'").fetchone()[0] == before + 1:
            return
        waited.wait(0.05)
    raise AssertionError("the reply went on")


def test_a_key_that_is_revoked_ends_what_it_has_begun(served: Served) -> None:
    token = served.make_key(Scope.CHAT, name="revoked at work")
    key = served.site.keys.find(token, now=datetime.now(UTC))
    assert key is not None
    with OpenAI(base_url=f"{served.address}/v1", api_key=token, max_retries=0) as shop:
        stream = shop.chat.completions.create(model="support", messages=HI, stream=True, max_tokens=480, stop=[])
        first = next(iter(stream))
        served.site.keys.revoke(key.id, actor=key.made_by, now=datetime.now(UTC))
        list(stream)
    assert wait_for_turn(served, first.id).state in {TurnState.STOPPED, TurnState.COMPLETE}


def test_a_revoked_key_opens_nothing_any_more(served: Served) -> None:
    token = served.make_key(Scope.CHAT, name="short-lived")
    with OpenAI(base_url=f"{served.address}/v1", api_key=token, max_retries=0) as shop:
        shop.models.list()
        key = served.site.keys.find(token, now=releases.find_release(served.site.errata.db.read(), 0).created_at)
        assert key is not None
        assert key.used_at is not None
        served.site.keys.revoke(key.id, actor=key.made_by, now=key.made_at)
        with pytest.raises(APIStatusError) as refused:
            shop.models.list()
        assert refused.value.status_code == 401
