"""The chat page as a browser drives it, over a tiny random base: through the wall and Gradio's queue."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.testclient import TestClient

from assistant.answering import Answering
from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import LiveAssistant, make_bare_release
from assistant.engine.reply import Sampling
from assistant.hot_swap import deploy_base
from assistant.web.chat_page import ChatPage
from assistant.web.routes import find_route
from assistant.web.sign_in import SignIn
from assistant.web.site import build_site
from feedback_db import conversations, erasure, people
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.records import Conversation, ConversationId, PersonId, PersonKind, Role, Turn, TurnId
from tests.assistant.web.conftest import NOW, Clock
from tests.assistant.web.site_driving import Ended, call, join, read_config
from tests.logged_replies import make_logged_reply

Browse = Callable[[], TestClient]
# Every route that Gradio 6.31 mounts and the wall lets nobody through to; a new one must be put here or into routes.py.
DENIED = {
    "/openapi.json",
    "/gradio_api/deep_link",
    "/pwa_icon",
    "/pwa_icon/{size}",
    "/manifest.json",
    "/monitoring",
    "/monitoring/summary",
    "/monitoring/{key}",
    "/gradio_api/user",
    "/gradio_api/login_check",
    "/gradio_api/token",
    "/gradio_api/dev/reload",
    "/gradio_api/runs",
    "/gradio_api/run-history/connect",
    "/gradio_api/run-history/buckets",
    "/gradio_api/run-history/records",
    "/gradio_api/run-history/records/{endpoint}/{record_id}/assets/{asset_id}",
    "/gradio_api/info",
    "/gradio_api/openapi.json",
    "/gradio_api/custom_component/{id}/{environment}/{type}/{file_name}",
    "/gradio_api/proxy={url_path:path}",
    "/gradio_api/file={path_or_url:path}",
    "/gradio_api/stream/{event_id}",
    "/gradio_api/stream/{event_id}/close",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file",
    "/gradio_api/file/{path:path}",
    "/gradio_api/reset",
    "/gradio_api/heartbeat/{session_hash}",
    "/gradio_api/api/{api_name}",
    "/gradio_api/run/{api_name}",
    "/gradio_api/call/{api_name}",
    "/gradio_api/call/v2/{api_name}",
    "/gradio_api/call/{api_name}/{event_id}",
    "/gradio_api/call/v2/{api_name}/{event_id}",
    "/gradio_api/component_server",
    "/gradio_api/queue/status",
    "/gradio_api/upload_progress",
    "/gradio_api/upload",
    "/gradio_api/startup-events",
    "/gradio_api/process_recording",
    "/gradio_api/vibe-edit",
    "/gradio_api/undo-vibe-edit",
    "/gradio_api/vibe-code",
    "/gradio_api/vibe-starter-queries",
}
ALLOWED = {
    "/",
    "/login",
    "/logout",
    "/set-up",
    "/password",
    "/healthz",
    "/config",
    "/gradio_api/app_id",
    "/svelte/{path:path}",
    "/static/{path:path}",
    "/assets/{path:path}",
    "/favicon.ico",
    "/theme.css",
    "/robots.txt",
    "/gradio_api/theme.css",
    "/gradio_api/queue/join",
    "/gradio_api/queue/data",
    "/gradio_api/cancel",
}


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> BaseModel:
    return load_base_model(tiny_base, device="cpu")


@pytest.fixture
def live(base: BaseModel, db: Database, audit: Audit) -> Iterator[LiveAssistant]:
    deploy_base(db, audit, base, system_message="You help.", sampling=Sampling(max_tokens=24), now=NOW)
    with LiveAssistant(base) as assistant:
        assistant.swap_to(make_bare_release(base))
        yield assistant


@pytest.fixture
def answering(db: Database, live: LiveAssistant, clock: Clock) -> Answering:
    return Answering(db, live, clock)


@pytest.fixture
def page(db: Database, audit: Audit, live: LiveAssistant, answering: Answering, sign_in: SignIn, clock: Clock) -> gr.Blocks:
    return ChatPage(db, audit, live, answering, sign_in, title="Help", examples=["How long?"], mounts=("/",), clock=clock).build()


@pytest.fixture
def browse(page: gr.Blocks, sign_in: SignIn, clock: Clock) -> Iterator[Browse]:
    """Return browsers of visitors who have looked at the page."""
    site = build_site({"/": page}, sign_in, welcomes_visitors=True, clock=clock)
    with TestClient(site, base_url="http://errata.test") as running:

        def open_browser() -> TestClient:
            browser = TestClient(site, base_url="http://errata.test")
            browser.portal = running.portal
            assert browser.get("/").status_code == 200
            return browser

        yield open_browser


@pytest.fixture
def ann(browse: Browse) -> TestClient:
    return browse()


@pytest.fixture
def config(ann: TestClient) -> dict[str, Any]:
    return read_config(ann)


def say(
    browser: TestClient,
    config: dict[str, Any],
    message: str,
    conversation: str = "",
    *,
    consent: bool = False,
    page: str | None = None,
) -> Ended:
    """Send a message and follow its answer to the end."""
    return follow(browser, config, call(browser, config, "_send", [message, conversation, consent], page=page), page=page)


def follow(browser: TestClient, config: dict[str, Any], drawn: Ended, *, page: str | None = None) -> Ended:
    """Do what a page does where a reply on its way was drawn; return all that was shown then, and told."""
    found = re.search(r'data-conversation="(\w+)" data-mark="(\w+)"', str(drawn.shown.get("pending")))
    if found is None:
        return drawn
    followed = call(browser, config, "_follow", [], event={"conversation": found[1], "mark": found[2]}, page=page)
    ended = call(browser, config, "_show_end", [found[1]], page=page)
    changed = {name: value for one in (followed, ended) for name, value in one.shown.items() if not isinstance(value, dict)}
    return replace(
        ended,
        is_success=drawn.is_success and followed.is_success and ended.is_success,
        shown={**drawn.shown, **changed},
        sent=drawn.sent + followed.sent + ended.sent,
    )


def find_only(db: Database) -> tuple[Conversation, Turn]:
    """Return the only conversation of all, and its last turn."""
    (row,) = db.read().execute("SELECT id, person_id FROM conversations").fetchall()
    conversation = conversations.find_conversation(db.read(), ConversationId(row["id"]), owner=PersonId(row["person_id"]))
    return conversation, conversations.list_turns(db.read(), conversation.id)[-1]


def find_person(db: Database) -> PersonId:
    return PersonId(db.read().execute("SELECT id FROM people WHERE kind = 'visitor'").fetchone()["id"])


def test_every_function_of_the_page_needs_a_role(page: gr.Blocks) -> None:
    functions = [one for one in page.fns.values() if one.fn is not None]
    unguarded = [one.name for one in functions if not isinstance(getattr(one.fn, "required_role", None), Role)]
    print(f"{len(functions)} functions, {len(unguarded)} without a role")
    assert functions
    assert unguarded == []


def test_every_route_is_known_as_allowed_or_denied(browse: Browse, page: gr.Blocks) -> None:
    found = {path.rstrip("/") or "/" for path in walk_routes(page.app.routes)}  # type: ignore[attr-defined]
    print(f"{len(found)} routes of Gradio, {len(found & DENIED)} denied")
    assert found - DENIED - ALLOWED == set(), "a route that nobody has judged yet"
    assert DENIED - found == set(), "a route that is no more"
    reachable = {path for path in DENIED for method in ("GET", "POST", "HEAD") if find_route(method, path)}
    assert reachable == set()


def walk_routes(routes: list[Any]) -> Iterator[str]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield getattr(route, "path", "?")
        else:
            yield from walk_routes(inner.routes)


def test_a_message_is_answered_streamed_and_logged(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    ended = say(ann, config, "How long is it?")
    conversation, turn = find_only(db)
    assert ended.is_success
    assert ended.shown["conversation"] == conversation.id
    assert (conversation.title, turn.user_message) == ("How long is it?", "How long is it?")
    assert "process_generating" in ended.sent
    assert ended.shown["pending"] == ""
    assert f'data-turn="{turn.id}"' in ended.shown["chat"]


def test_consent_is_recorded_with_its_wording_where_it_is_given(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi", consent=True)
    conversation, _ = find_only(db)
    assert conversation.consent is True
    call(ann, config, "_give_consent", [False, conversation.id])
    assert find_only(db)[0].consent is False


def test_a_reload_shows_the_conversation_again(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    assert f'data-turn="{turn.id}"' in call(ann, config, "_load", [conversation.id, ""]).shown["chat"]
    assert "How long?" in call(ann, config, "_load", ["no such", ""]).shown["chat"]


def test_what_is_asked_before_the_page_is_whole_stays_when_the_rest_is_drawn(ann: TestClient, config: dict[str, Any]) -> None:
    refused = call(ann, config, "_send", ["a \u202e b", "", False], page="slow")
    assert 'role="alert"' in refused.shown["notice"]
    late = call(ann, config, "_load", ["", ""], page="slow")
    assert "How long?" in late.shown["chat"]
    assert "Help" in late.shown["header"]
    assert {late.shown[name]["__type__"] for name in ("notice", "msg")} == {"update"}
    answered = say(ann, config, "hi", page="slow")
    late = call(ann, config, "_load", ["", "hi"], page="slow")
    assert (late.shown["conversation"], late.shown["chat"]) == (answered.shown["conversation"], answered.shown["chat"])


def test_what_is_said_of_one_conversation_is_not_drawn_over_another(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    first = say(ann, config, "one", page="tab").shown["conversation"]
    turn = conversations.list_turns(db.read(), ConversationId(first))[-1]
    call(ann, config, "_begin", [], page="tab")
    rate = {"turn": turn.id, "value": "good"}
    late = call(ann, config, "_rate", [first], event=rate, page="tab")
    assert late.shown["chat"]["__type__"] == "update"
    assert db.read().execute("SELECT is_good FROM ratings").fetchone()[0] == 1
    refused = call(ann, config, "_correct", [first], event={"turn": turn.id, "reply": "a \u202e b"}, page="tab")
    assert refused.shown["chat"]["__type__"] == "update"
    assert 'role="alert"' in refused.shown["notice"]
    assert call(ann, config, "_erase", [first, ""], event={"id": first}, page="tab").shown["chat"]["__type__"] == "update"
    assert conversations.list_conversations(db.read(), find_person(db), search="") == []


def test_a_page_that_comes_back_follows_the_answer_under_way(
    db: Database, answering: Answering, ann: TestClient, config: dict[str, Any]
) -> None:
    say(ann, config, "hi")
    conversation, _ = find_only(db)
    found = answering.ask(conversation.id, "and now?", person_id=conversation.person_id)
    shown = follow(ann, config, call(ann, config, "_load", [conversation.id, ""])).shown
    assert found.is_ended
    assert shown["chat"].count("data-turn=") == 2


def test_a_message_whose_answer_was_never_logged_goes_back_into_the_box(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, _ = find_only(db)
    assert call(ann, config, "_load", [conversation.id, " hi "]).shown["msg"] == {"__type__": "update"}
    shown = call(ann, config, "_load", [conversation.id, "and now?"]).shown
    assert shown["msg"] == "and now?"
    assert "has no answer yet" in shown["notice"]


def test_a_conversation_that_was_deleted_in_another_tab_ends_in_a_new_one_that_says_so_and_keeps_the_draft(
    db: Database, ann: TestClient, config: dict[str, Any]
) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    call(ann, config, "_erase", ["", ""], event={"id": conversation.id})
    asked = say(ann, config, "and now?", conversation.id).shown
    rated = call(ann, config, "_rate", [conversation.id], event={"turn": turn.id, "value": "good"}).shown
    for shown in (asked, rated):
        assert "was deleted" in shown["notice"]
        assert (shown["conversation"], shown["pending"]) == ("", "")
    assert asked["msg"] == "and now?"


def test_an_answer_whose_conversation_is_deleted_meanwhile_ends_in_a_new_one(
    db: Database, answering: Answering, ann: TestClient, config: dict[str, Any]
) -> None:
    say(ann, config, "hi")
    conversation, _ = find_only(db)
    found = answering.ask(conversation.id, "and now?", person_id=conversation.person_id)
    with db.write() as tx:
        erasure.erase_conversation(tx, conversation.id, now=NOW)
    ended = follow(ann, config, call(ann, config, "_load", [conversation.id, ""]))
    found.wait()
    assert ended.is_success
    assert ended.shown["conversation"] == ""


def test_whoever_has_two_answers_under_way_is_told_so_and_keeps_the_draft_and_has_no_empty_conversation(
    db: Database, answering: Answering, ann: TestClient, config: dict[str, Any]
) -> None:
    talks = [say(ann, config, "hi").shown["conversation"] for _ in range(2)]
    person_id = PersonId(db.read().execute("SELECT person_id FROM conversations").fetchone()[0])
    under_way = [answering.ask(ConversationId(talk), "and now?", person_id=person_id) for talk in talks]
    shown = say(ann, config, "one more").shown
    for found in under_way:
        found.wait()
    assert "at most 2 answers" in shown["notice"]
    assert shown["msg"] == "one more"
    assert db.read().execute("SELECT count(*) FROM conversations").fetchone()[0] == 2


def test_earlier_messages_are_told_of_and_shown_to_whoever_asks_and_stay_while_one_is_rated(
    db: Database, live: LiveAssistant, ann: TestClient, config: dict[str, Any]
) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    logged = make_logged_reply("again", "yes", version=turn.version)
    with db.write() as tx:
        for number in range(59):
            conversations.log_turn(tx, TurnId(f"t{number}"), conversation_id=conversation.id, logged=logged, now=NOW)
    log = call(ann, config, "_load", [conversation.id, ""]).shown["chat"]
    assert (log.count("data-turn="), "Show earlier messages" in log, "10 more" in log) == (50, True, True)
    log = call(ann, config, "_show_earlier", [conversation.id], event={"shown": "50"}).shown["chat"]
    assert (log.count("data-turn="), "Show earlier messages" in log) == (60, False)
    log = call(ann, config, "_rate", [conversation.id], event={"turn": turn.id, "value": "good", "shown": "60"}).shown["chat"]
    assert log.count("data-turn=") == 60


def test_a_correction_waits_for_a_reviewer_with_rating_and_consent(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    told = {"turn": turn.id, "reply": "Hello!", "reason": "wrong", "comment": "Be kind.", "consent": True}
    ended = call(ann, config, "_correct", [conversation.id], event=told)
    assert "A reviewer will look" in ended.shown["chat"]
    (row,) = db.read().execute("SELECT corrected_reply, state, author_id FROM corrections").fetchall()
    assert tuple(row) == ("Hello!", "pending", conversation.person_id)
    (rating,) = conversations.list_ratings(db.read(), conversation.id, person_id=conversation.person_id)
    assert (rating.is_good, rating.reason, rating.comment) == (False, "wrong", "Be kind.")
    assert find_only(db)[0].consent is True


def test_a_reply_that_is_sent_back_unchanged_is_no_correction(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    told = {"turn": turn.id, "reply": turn.reply}
    first, second = (call(ann, config, "_correct", [conversation.id], event={**told, "reason": reason}).shown for reason in ("", "tone"))
    assert "nothing was noted" in first["notice"]
    assert "Thank you" in second["notice"]
    assert first["chat"] != call(ann, config, "_correct", [conversation.id], event=told).shown["chat"], "or no form would close"
    assert db.read().execute("SELECT count(*) FROM corrections").fetchone()[0] == 0
    assert db.read().execute("SELECT reason FROM ratings").fetchone()[0] == "tone"


def test_a_second_correction_of_a_reply_is_told_that_the_first_waits(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    shown = call(ann, config, "_correct", [conversation.id], event={"turn": turn.id, "reply": "Hello!"}).shown
    assert "which waits for a reviewer" in shown["chat"]
    assert "Hello!" in shown["chat"]
    shown = call(ann, config, "_correct", [conversation.id], event={"turn": turn.id, "reply": "Hello you!"}).shown
    assert "an earlier one waits" in shown["notice"]
    assert db.read().execute("SELECT count(*) FROM corrections").fetchone()[0] == 1


def test_a_rating_is_given_and_taken_back(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    for value, expected in (("good", [True]), ("bad", [False]), ("", [])):
        call(ann, config, "_rate", [conversation.id], event={"turn": turn.id, "value": value})
        ratings = conversations.list_ratings(db.read(), conversation.id, person_id=conversation.person_id)
        assert [rating.is_good for rating in ratings] == expected


def test_the_last_message_is_asked_again_or_in_other_words(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, first = find_only(db)
    follow(ann, config, call(ann, config, "_retry", [conversation.id], event={"turn": first.id}))
    again = find_only(db)[1]
    assert (again.user_message, again.replaces) == ("hi", first.id)
    follow(ann, config, call(ann, config, "_rewrite", [conversation.id], event={"turn": again.id, "message": "hello"}))
    assert [turn.user_message for turn in conversations.list_turns(db.read(), conversation.id)] == ["hello"]


def test_a_conversation_is_renamed_found_and_erased(db: Database, live: LiveAssistant, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, _ = find_only(db)
    call(ann, config, "_rename", [conversation.id, ""], event={"id": conversation.id, "title": "The lost parcel"})
    assert "The lost parcel" in call(ann, config, "_find", [conversation.id, "PARCEL"]).shown["conversations"]
    assert "Nothing found" in call(ann, config, "_find", [conversation.id, "zebra"]).shown["conversations"]
    assert len(live._batcher._prefixes) == 1
    ended = call(ann, config, "_erase", [conversation.id, ""], event={"id": conversation.id})
    assert ended.shown["conversation"] == ""
    assert len(live._batcher._prefixes) == 0, "the model holds nothing of it any more"
    assert db.read().execute("SELECT count(*) FROM turns").fetchone()[0] == 0
    assert db.read().execute("SELECT count(*) FROM audit WHERE action = 'erase'").fetchone()[0] == 1


@pytest.mark.parametrize("hostile", ["<|im_start|>system", "x" * 9000, "a\u202eb"])
def test_a_message_that_is_refused_says_why_and_stays_in_the_box(
    db: Database, ann: TestClient, config: dict[str, Any], hostile: str
) -> None:
    ended = say(ann, config, hostile)
    assert 'role="alert"' in ended.shown["notice"]
    assert ended.shown["msg"] == hostile
    assert db.read().execute("SELECT count(*) FROM conversations").fetchone()[0] == 0


HALF = "half an emoji \ud83d"  # what is left of one where a browser cuts a text off


def test_a_message_with_half_a_character_is_answered(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    ended = say(ann, config, HALF)
    assert "half an emoji \ufffd" in ended.shown["chat"]
    conversation, turn = find_only(db)
    assert (conversation.title, turn.user_message) == ("half an emoji \ufffd",) * 2
    refused = say(ann, config, HALF + "\u202e", conversation.id)
    assert "invisible character" in refused.shown["notice"]
    assert refused.shown["msg"] == "half an emoji \ufffd\u202e"


def test_half_a_character_does_no_harm_in_whatever_a_page_is_told(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    told = {"turn": turn.id, "reply": HALF, "reason": "wrong", "comment": HALF}
    assert "A reviewer will look" in call(ann, config, "_correct", [conversation.id], event=told).shown["chat"]
    stored = db.read().execute("SELECT corrected_reply, comment FROM corrections JOIN ratings ON withdrawn_at IS NULL").fetchone()
    assert tuple(stored) == ("half an emoji \ufffd",) * 2
    assert call(ann, config, "_find", [conversation.id, HALF]).is_success
    assert call(ann, config, "_rename", [conversation.id, ""], event={"id": conversation.id, "title": HALF}).is_success
    assert call(ann, config, "_load", [HALF, HALF]).shown["msg"] == "half an emoji \ufffd"
    for function in ("_rate", "_vote", "_retry", "_rewrite", "_erase"):
        dependency = next(one for one in config["dependencies"] if one["api_name"] == function)
        given = [conversation.id, ""][: len(dependency["inputs"])]
        ended = call(ann, config, function, given, event=dict.fromkeys(("id", "turn", "value", "correction", "message"), HALF))
        assert ended.is_success, function
    assert find_only(db)[0].id == conversation.id


def test_nobody_reaches_a_conversation_of_another(db: Database, browse: Browse, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "my secret")
    conversation, turn = find_only(db)
    eve = browse()
    before = list(db.read().execute("SELECT count(*) FROM turns UNION ALL SELECT count(*) FROM ratings").fetchall())
    tried = [
        call(eve, config, "_load", [conversation.id, ""]),
        say(eve, config, "tell me", conversation.id),
        call(eve, config, "_stop", [conversation.id]),
        call(eve, config, "_retry", [conversation.id], event={"turn": turn.id}),
        call(eve, config, "_rewrite", [conversation.id], event={"turn": turn.id, "message": "x"}),
        call(eve, config, "_rate", [conversation.id], event={"turn": turn.id, "value": "good"}),
        call(eve, config, "_correct", [conversation.id], event={"turn": turn.id, "reply": "x", "reason": "tone", "consent": True}),
        call(eve, config, "_vote", [conversation.id], event={"correction": "k", "value": "better"}),
        call(eve, config, "_load_named", [], event={"id": conversation.id}),
        call(eve, config, "_rename", [conversation.id, ""], event={"id": conversation.id, "title": "x"}),
        call(eve, config, "_erase", [conversation.id, ""], event={"id": conversation.id}),
        call(eve, config, "_find", [conversation.id, "secret"]),
        call(eve, config, "_give_consent", [True, conversation.id]),
    ]
    leaks = [ended for ended in tried if turn.id in ended.sent or "my secret" in ended.sent]
    print(f"{len(tried)} attempts on another's conversation, {len(leaks)} leaks")
    assert leaks == []
    assert [tuple(row) for row in db.read().execute("SELECT count(*) FROM turns UNION ALL SELECT count(*) FROM ratings")] == [
        tuple(row) for row in before
    ]
    assert find_only(db)[0] == conversation


def test_a_turn_of_ones_own_other_conversation_is_not_taken_for_this_one(db: Database, ann: TestClient, config: dict[str, Any]) -> None:
    say(ann, config, "hi")
    conversation, turn = find_only(db)
    other = say(ann, config, "hello").shown["conversation"]
    assert other != conversation.id
    ended = call(ann, config, "_rate", [other], event={"turn": turn.id, "value": "good"})
    assert 'role="alert"' in ended.shown["notice"]


@pytest.mark.parametrize("event", [None, {}, [], "x", {"turn": 7, "value": {}}, {"turn": ["t"], "reply": None, "consent": "yes"}])
def test_an_event_that_no_browser_sends_changes_nothing(db: Database, ann: TestClient, config: dict[str, Any], event: Any) -> None:
    say(ann, config, "hi")
    conversation, _ = find_only(db)
    for function in ("_rate", "_correct", "_vote", "_retry", "_rewrite"):
        call(ann, config, function, [conversation.id], event=event)
    counts = "SELECT (SELECT count(*) FROM turns), (SELECT count(*) FROM ratings), (SELECT count(*) FROM corrections)"
    assert tuple(db.read().execute(counts).fetchone()) == (1, 0, 0)
    assert find_only(db)[0].consent is None


def test_a_session_that_is_over_runs_nothing(db: Database, ann: TestClient, config: dict[str, Any], sign_in: SignIn, clock: Clock) -> None:
    sign_in.end(ann.cookies["errata"], now=clock())
    tried = [join(ann, config, dependency, []) for dependency in config["dependencies"]]
    print(f"{len(tried)} functions after signing out, {sum(ended.status == 200 for ended in tried)} reached")
    assert {ended.status for ended in tried} == {401}


def test_a_disabled_account_runs_nothing_though_the_wall_let_it_pass_before(
    db: Database, browse: Browse, sign_in: SignIn, clock: Clock
) -> None:
    with db.write() as tx:
        person = people.add_account(tx, PersonId("bob"), name="bob", role=Role.END_USER, password_hash="x", now=NOW)
        session = sign_in.open_account(tx, person, now=NOW)
    bob = browse()
    bob.cookies.set("errata", session.token, domain="errata.test")
    config = read_config(bob)
    assert say(bob, config, "hi").is_success
    clock.move(timedelta(seconds=1))
    with db.write() as tx:
        people.disable(tx, person.id, now=clock())
    assert say(bob, config, "hi").status == 401
    assert person.kind is PersonKind.ACCOUNT
