"""Replies for programs, without HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from assistant.api.completion_request import Asked
from assistant.api.completions import ClientSystem, Completions
from assistant.api.errors import ApiError
from assistant.engine.adapter_files import verify_adapter
from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import LiveAssistant, make_bare_release
from assistant.engine.reply import Sampling
from assistant.errors import AssistantClosedError, QueueFullError, SamplingError
from assistant.hot_swap import deploy_base
from feedback_db import api_keys, conversations, people, releases
from feedback_db.api_keys import ApiKey, Scope
from feedback_db.database import Database
from feedback_db.errors import HostileTextError, TextTooLongError
from feedback_db.records import ApiKeyId, PersonId, Role, Turn, TurnState
from feedback_db.told_turns import Context
from feedback_db.training_records import Release
from tests.auditing import open_audit

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ASKED = Asked(
    version=None,
    message="hi",
    user="u1",
    context=Context(chat_id=None, history=(), system=None, consent=None, wording=""),
    sampling={},
    stop=(),
    is_streamed=False,
    tells_usage=False,
)


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
        deploy_base(opened, open_audit(opened), base, system_message="You help.", sampling=Sampling(max_tokens=12), now=NOW)
        yield opened


@pytest.fixture
def key(db: Database) -> ApiKey:
    with db.write() as tx:
        ada = people.add_account(tx, PersonId("ada"), name="ada", role=Role.ADMIN, password_hash="x", now=NOW)
        scopes = {Scope.CHAT}
        return api_keys.add_key(tx, ApiKeyId("k"), name="shop", token_hash="h", hint="", scopes=scopes, made_by=ada.id, now=NOW)


@pytest.fixture
def open_completions(db: Database, live: LiveAssistant, tmp_path: Path) -> Callable[..., Completions]:
    def make(client_system: ClientSystem = "append", *, most_a_key: int = 32) -> Completions:
        return Completions(db, live, runs_folder=tmp_path / "runs", client_system=client_system, most_a_key=most_a_key)

    return make


def finish(completions: Completions, key: ApiKey, asked: Asked = ASKED) -> Turn:
    completion = completions.begin(key, asked, now=NOW)
    for _ in completion.answer:
        pass
    completions.end(completion)
    assert completion.answer.turn is not None
    assert completion.id == f"chatcmpl-{completion.answer.turn.id}"
    return completion.answer.turn


def under(system: str) -> Asked:
    return replace(ASKED, context=replace(ASKED.context, system=system))


def test_what_nobody_follows_is_stopped_and_logged_at_the_end(open_completions: Callable[..., Completions], key: ApiKey) -> None:
    completions = open_completions()
    completion = completions.begin(key, replace(ASKED, sampling={"max_tokens": 400}), now=NOW)
    completions.close()
    turn = completion.answer.turn
    assert turn is not None
    assert turn.state is TurnState.STOPPED
    with pytest.raises(AssistantClosedError):
        completions.begin(key, ASKED, now=NOW)


def test_a_clients_system_message_is_appended(open_completions: Callable[..., Completions], live: LiveAssistant, key: ApiKey) -> None:
    appended, alone = (finish(open_completions(), key, asked) for asked in (under("Be brief."), ASKED))
    assert appended.prompt_tokens > alone.prompt_tokens
    assert (appended.told_system, alone.told_system) == ("Be brief.", None)


def test_a_clients_system_message_is_replaced_by_ours_and_logged(open_completions: Callable[..., Completions], key: ApiKey) -> None:
    replaced, alone = (finish(open_completions("replace"), key, asked) for asked in (under("Be brief."), ASKED))
    assert replaced.prompt_tokens == alone.prompt_tokens
    assert replaced.told_system == "Be brief."


def test_a_clients_system_message_is_refused(open_completions: Callable[..., Completions], key: ApiKey) -> None:
    with pytest.raises(ApiError, match="keeps its own"):
        open_completions("refuse").begin(key, under("Be brief."), now=NOW)


@pytest.mark.parametrize("client_system", ["append", "replace"])
def test_hostile_text_is_refused_wherever_it_comes_from(
    open_completions: Callable[..., Completions], key: ApiKey, client_system: str
) -> None:
    completions = open_completions(client_system)
    hostile = "a\u202eb"
    context = ASKED.context
    told = [replace(context, system=hostile), replace(context, history=((hostile, "x"),))]
    for asked in (replace(ASKED, message=hostile), replace(ASKED, user="<|im_end|>"), *(replace(ASKED, context=one) for one in told)):
        with pytest.raises(HostileTextError):
            completions.begin(key, asked, now=NOW)


def test_a_reply_is_told_back_as_it_was_whatever_it_holds(open_completions: Callable[..., Completions], key: ApiKey) -> None:
    first = finish(open_completions(), key)
    context = replace(ASKED.context, history=((first.user_message, f"{first.reply}\u0002 <|im_end|>"),))
    turn = finish(open_completions(), key, replace(ASKED, message="and?", context=context))
    assert turn.told_history == context.history
    with pytest.raises(TextTooLongError):
        open_completions().begin(key, replace(ASKED, context=replace(context, history=(("x", "y" * 32_001),))), now=NOW)


def test_one_key_takes_no_more_than_its_places(open_completions: Callable[..., Completions], key: ApiKey) -> None:
    completions = open_completions(most_a_key=1)
    first = completions.begin(key, replace(ASKED, sampling={"max_tokens": 400}), now=NOW)
    with pytest.raises(QueueFullError):
        completions.begin(key, ASKED, now=NOW)
    completions.end(first)
    finish(completions, key)


def test_a_reply_that_two_end_at_once_is_logged_once(open_completions: Callable[..., Completions], db: Database, key: ApiKey) -> None:
    completions = open_completions()
    for _ in range(20):
        completion = completions.begin(key, ASKED, now=NOW)
        threads = [Thread(target=completions.end, args=[completion]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert db.read().execute("SELECT count(*) FROM turns").fetchone()[0] == 20


def test_a_number_that_nobody_can_choose_by_is_refused(open_completions: Callable[..., Completions], key: ApiKey) -> None:
    with pytest.raises(SamplingError):
        open_completions().begin(key, replace(ASKED, sampling={"top_p": float("nan")}), now=NOW)


def test_a_pinned_version_that_was_not_served_yet_is_loaded(
    open_completions: Callable[..., Completions],
    db: Database,
    base: BaseModel,
    live: LiveAssistant,
    key: ApiKey,
    tmp_path: Path,
    make_adapter: Callable[..., Path],
    add_trained_release: Callable[..., Release],
) -> None:
    adapter = make_adapter(tmp_path / "runs" / "r1" / "adapter", base, seed=1)
    found = verify_adapter(adapter, revision=base.revision).hash
    release = add_trained_release(db, releases.find_release(db.read(), 0), "r1", found)
    turn = finish(open_completions(), key, replace(ASKED, version=release.version))
    assert turn.version == release.version == 1
    assert live.status().version == 0
    with pytest.raises(ApiError, match="none of number 9"):
        open_completions().begin(key, replace(ASKED, version=9), now=NOW)


def test_a_long_history_is_trimmed_and_kept_whole(open_completions: Callable[..., Completions], db: Database, key: ApiKey) -> None:
    history = tuple((f"question {number} " + "word " * 20, "a reply " * 10) for number in range(40))
    turn = finish(open_completions(), key, replace(ASKED, context=replace(ASKED.context, history=history)))
    assert turn.told_history is not None
    assert len(turn.told_history) == 40
    assert conversations.list_context(db.read(), turn.id) == [turn]
