"""The admin page as a browser drives it: through the wall and Gradio's queue, without a model."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import gradio as gr
import pytest
from starlette.testclient import TestClient

from assistant.api.keys import KeyRing
from assistant.engine.live import Status
from assistant.errors import SettingsError
from assistant.web.admin_page import AdminPage
from assistant.web.sign_in import SignIn
from assistant.web.site import build_site
from feedback_db import conversations, corrections, examples, people, releases, requests, runs
from feedback_db.api_keys import Scope, list_keys
from feedback_db.audit import Audit, list_newest
from feedback_db.database import Database, Transaction
from feedback_db.forecast import Forecast, Foreseen
from feedback_db.recipe import Recipe, read_recipe
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId
from feedback_db.training_records import ExampleId, Request, RequestKind
from tests.assistant.web.conftest import NOW, Clock
from tests.assistant.web.site_driving import Ended, join, read_config
from tests.assistant.web.site_driving import call as call_at
from tests.logged_replies import make_logged_reply

Browse = Callable[..., TestClient]
MOUNT = "/admin"


class Operating:
    """Does what the real one does in the database, and remembers the rest."""

    def __init__(self, db: Database, audit: Audit) -> None:
        self._db, self._audit = db, audit
        self.fault: str | None = None
        self.chosen: dict[str, Any] = {"system_message": "You help a lot.", "schedule_cron": "0 2 * * *", "schedule_zone": "UTC"}
        self.chosen |= {"schedule_least_examples": 1, "schedule_cool_down_minutes": 60, "quiet_from": "", "quiet_until": ""}

    def read_settings(self) -> dict[str, Any]:
        return self.chosen

    def change_settings(self, chosen: Mapping[str, Any], *, actor: PersonId, now: datetime) -> str:
        if chosen["schedule_cron"] == "never":
            raise SettingsError(["schedule_cron: expected a moment."])
        self.chosen = dict(chosen)
        return "Saved."

    def promote(self, tx: Transaction, version: int, *, actor: PersonId, reason: str, now: datetime) -> str:
        releases.deploy(tx, self._audit, version, actor=actor, reason=reason or "by hand", now=now)
        return f"Version {version} goes live."

    def roll_back(self, tx: Transaction, *, actor: PersonId, reason: str, now: datetime) -> str:
        return f"Version {releases.roll_back(tx, self._audit, actor=actor, reason=reason or 'back', now=now).version} goes live again."

    def back_up(self) -> str:
        return "Backed up."

    def find_audit_fault(self) -> str | None:
        return self.fault

    def find_damage(self) -> tuple[str, ...]:
        return ()

    def read_free_disk(self) -> int:
        return 5_000_000_000

    def read_engine(self) -> Status:
        return Status(version=0, loaded=(0,), rows=2, max_rows=16, waiting=1, tokens_a_second=310.0, first_token_ms=24.0, swaps=1)

    def read_free_memory(self) -> int:
        return 7_000_000_000


@pytest.fixture
def operating(db: Database, audit: Audit) -> Operating:
    return Operating(db, audit)


@pytest.fixture
def keys(db: Database, audit: Audit) -> KeyRing:
    return KeyRing(db, audit, started_at=NOW)


@pytest.fixture
def page(db: Database, audit: Audit, sign_in: SignIn, operating: Operating, keys: KeyRing, clock: Clock) -> gr.Blocks:
    with db.write() as tx:
        for message in ("You help.", "You help a lot."):
            release = releases.add_release(
                tx, base="b", revision="r", quantisation="nf4", template_hash="t", system_message=message, sampling={}, now=NOW
            )
            releases.deploy(tx, audit, release.version, actor=None, reason="The base as the settings name it.", now=NOW)
    mounts = (MOUNT, "/review", "/")
    return AdminPage(db, audit, sign_in, operating, keys, recipe=Recipe(), gpu=None, mounts=mounts, clock=clock).build()


@pytest.fixture
def browse(db: Database, page: gr.Blocks, sign_in: SignIn, clock: Clock) -> Iterator[Browse]:
    site = build_site({MOUNT: page}, sign_in, welcomes_visitors=True, clock=clock)
    with TestClient(site, base_url="http://errata.test") as running:

        def open_browser(name: str, role: Role) -> TestClient:
            browser = TestClient(site, base_url="http://errata.test")
            browser.portal = running.portal
            with db.write() as tx:
                person = people.add_account(tx, PersonId(name), name=name, role=role, password_hash="x", now=NOW)
                browser.cookies.set("errata", sign_in.open_account(tx, person, now=NOW).token, domain="errata.test")
            return browser

        yield open_browser


@pytest.fixture
def ada(browse: Browse) -> TestClient:
    return browse("ada", Role.ADMIN)


@pytest.fixture
def config(ada: TestClient) -> dict[str, Any]:
    return read_config(ada, MOUNT)


def call(browser: TestClient, config: dict[str, Any], function: str, *data: Any, event: dict[str, Any] | None = None) -> Ended:
    return call_at(browser, config, function, list(data), event=event, mount=MOUNT)


def read_fields(config: dict[str, Any], function: str) -> dict[str, Any]:
    """Return what stands in the fields that a function is given, by their names on the page."""
    dependency = next(one for one in config["dependencies"] if one["api_name"] == function)
    props = {one["id"]: one["props"] for one in config["components"]}
    return {props[field]["elem_id"]: props[field].get("value") for field in dependency["inputs"]}


def test_every_function_of_the_page_needs_an_admin(page: gr.Blocks) -> None:
    functions = [one for one in page.fns.values() if one.fn is not None]
    print(f"{len(functions)} functions")
    assert {getattr(one.fn, "required_role", None) for one in functions} == {Role.ADMIN}


@pytest.mark.parametrize("role", [None, Role.END_USER, Role.REVIEWER])
def test_nobody_below_an_admin_reaches_any_function(db: Database, browse: Browse, config: dict[str, Any], role: Role | None) -> None:
    eve = browse("eve", role or Role.END_USER)
    if role is None:
        eve.cookies.clear()
    tried = [join(eve, config, dependency, [], mount=mount) for dependency in config["dependencies"] for mount in (MOUNT, "")]
    print(f"{len(tried)} attempts, {sum(ended.is_success for ended in tried)} successes")
    assert not any(ended.is_success for ended in tried)
    assert requests.list_open(db.read()) == []


def test_the_page_shows_what_is_live_and_that_the_chain_holds(
    db: Database, ada: TestClient, config: dict[str, Any], operating: Operating
) -> None:
    shown = call(ada, config, "_load").shown
    assert "version 1 is wished for" in shown["status"]  # no engine serves it here
    assert "You help a lot." in shown["releases"]
    assert "Chain verified" in shown["audit"]
    operating.fault = "row 3 was changed"
    assert "row 3 was changed" in call(ada, config, "_check_now").shown["audit"]


def test_training_a_dry_run_and_a_cancellation_are_asked_of_the_supervisor(
    db: Database, ada: TestClient, config: dict[str, Any], clock: Clock
) -> None:
    for function in ("_ask_train", "_ask_dry_run", "_ask_cancel"):
        assert "Asked for" in call(ada, config, function, *read_fields(config, function).values()).shown["notice"]
    again = call(ada, config, "_ask_train", *read_fields(config, "_ask_train").values()).shown["notice"]
    assert "Found one under way or about to begin" in again
    asked = requests.list_open(db.read())
    assert [(one.kind, one.person_id) for one in asked] == [
        (RequestKind.TRAIN, "ada"),
        (RequestKind.DRY_RUN, "ada"),
        (RequestKind.CANCEL, "ada"),
    ]
    with db.write() as tx:
        requests.handle(tx, asked[1].id, outcome="A run would start.", now=clock())
    clock.move(timedelta(seconds=50))  # a browser may not look for long, where its page is hidden
    told = call(ada, config, "_look", "", "0").shown
    assert "A run would start." in told["notice"]
    assert told["told"] == str(asked[1].id)
    assert "A run would start." not in call(ada, config, "_look", "", told["told"]).sent  # it was told, and perhaps closed
    assert call(ada, config, "_load").shown["told"] == "0"  # as after a lost connection: whoever asked may not have seen it
    clock.move(timedelta(minutes=1))
    assert call(ada, config, "_load").shown["told"] == told["told"]


def test_a_dry_run_lists_what_would_be_trained_so_many_at_once(
    db: Database, ada: TestClient, config: dict[str, Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.web.admin_view.MOST_FORESEEN", 1)
    ids = [add_example(db, f"<b>{name}</b>") for name in ("one", "two")]
    found = tuple(Foreseen(id=one, wordings=2, rows=6, is_new=one == ids[0]) for one in (*ids, ExampleId("erased")))
    facts = {"rehearsed": 120, "stop": 6, "test": 9, "golden": 1, "guard": 160, "unwatched": 2, "tokens": 1234, "steps": 360}
    call(ada, config, "_ask_dry_run", *read_fields(config, "_ask_dry_run").values())
    with db.write() as tx:
        (asked,) = requests.list_open(tx)
        forecast = Forecast(examples=found, seconds=300.0, **facts)
        requests.handle(tx, asked.id, outcome="A run would start.", forecast=forecast, now=clock())
    seen = call(ada, config, "_look", "", "0").shown
    shown = seen["forecast"]
    for words in ("3 examples, 1 new", "18 rows of 1,234 tokens", "360 at most", "5 min at most", "2 no longer watched", "1 more."):
        assert words in shown
    assert "&lt;b&gt;one" in shown
    assert "two" not in shown
    more = call(ada, config, "_show_more", event={"what": "forecast", "id": str(asked.id), "role": "2"}).shown["forecast"]
    assert "&lt;b&gt;two" in more
    assert "Show more" not in more
    for wrong in ("x", "9" * 24, "99"):
        told = call(ada, config, "_show_more", event={"what": "forecast", "id": wrong, "role": "2"})
        assert told.is_success
    assert call(ada, config, "_look", "", seen["told"]).shown["forecast"]["__type__"] == "update"  # it stays as it is


def add_example(db: Database, question: str) -> ExampleId:
    """Have somebody ask and correct, and approve that."""
    name = uuid4().hex
    with db.write() as tx:
        people.add_visitor(tx, PersonId(name), now=NOW)
        people.add_visitor(tx, PersonId(f"not {name}"), now=NOW)
        talk = conversations.start_conversation(
            tx, ConversationId(name), person_id=PersonId(name), channel=Channel.WEB, title=question, now=NOW
        )
        conversations.record_consent(tx, talk.id, given=True, wording="v", now=NOW)
        turn = conversations.log_turn(tx, TurnId(name), conversation_id=talk.id, logged=make_logged_reply(question, "No."), now=NOW)
        corrections.add_correction(tx, CorrectionId(name), turn_id=turn.id, corrected_reply="Yes.", author=PersonId(name), now=NOW)
        corrections.review(tx, CorrectionId(name), Decision.APPROVED, reviewer=PersonId(f"not {name}"), now=NOW)
        return examples.add_example(tx, CorrectionId(name), messages=[{"role": "user", "content": question}], now=NOW).id


def test_a_release_is_rolled_back_only_with_its_version_typed(db: Database, ada: TestClient, config: dict[str, Any]) -> None:
    assert "Nothing was rolled back" in call(ada, config, "_roll_back", "0", "").shown["notice"]
    assert "Version 0 goes live again" in call(ada, config, "_roll_back", " 1 ", "It was rude.").shown["notice"]
    live = releases.find_live(db.read())
    assert live is not None
    assert (live[1].version, live[0].actor_id, live[0].reason) == (0, "ada", "It was rude.")


def test_a_release_is_put_live_by_its_number(db: Database, ada: TestClient, config: dict[str, Any]) -> None:
    for typed in ("one", "9" * 24):
        assert "Expected the number" in call(ada, config, "_promote_version", typed, "").shown["notice"]
    assert 'role="alert"' in call(ada, config, "_promote_version", "99", "").shown["notice"]
    assert "Version 0 goes live" in call(ada, config, "_promote_version", "0", "try").shown["notice"]


def test_people_are_added_given_roles_and_shut_out_but_not_oneself(
    db: Database, ada: TestClient, config: dict[str, Any], sign_in: SignIn, clock: Clock
) -> None:
    assert "bob may sign in now" in call(ada, config, "_add_person", "bob", "long enough", "Reviewer").shown["notice"]
    assert 'role="alert"' in call(ada, config, "_add_person", "cleo", "short", "Reviewer").shown["notice"]
    bob = sign_in.open("bob", "long enough", address="", now=clock()).person
    assert bob.role is Role.REVIEWER
    told = call(ada, config, "_change_person", event={"what": "set-role", "id": bob.id, "role": "admin"}).shown["notice"]
    assert "bob is an admin now" in told
    assert people.find_person(db.read(), bob.id).role is Role.ADMIN
    told = call(ada, config, "_change_person", event={"what": "disable", "id": bob.id, "role": "a text"}).shown["notice"]
    assert "bob is signed out everywhere" in told
    assert list_newest(db.read())[0].details == {}
    assert people.find_person(db.read(), bob.id).disabled_at is not None
    call(ada, config, "_change_person", event={"what": "enable", "id": bob.id})
    assert people.find_person(db.read(), bob.id).disabled_at is None
    for event in ({"what": "disable", "id": "ada"}, {"what": "set-role", "id": bob.id, "role": "owner"}, {"what": "drop", "id": bob.id}):
        call(ada, config, "_change_person", event=event)
    assert people.find_person(db.read(), PersonId("ada")).disabled_at is None
    assert people.find_person(db.read(), bob.id).role is Role.ADMIN


def test_an_admin_makes_a_link_by_which_somebody_chooses_another_password(
    db: Database, browse: Browse, ada: TestClient, config: dict[str, Any], sign_in: SignIn
) -> None:
    bob = browse("bob", Role.REVIEWER)
    reset = {"what": "reset-password", "id": "bob"}
    shown = call(ada, config, "_change_person", event=reset).shown
    found = re.search(r"/password\?token=([\w-]+)<", shown["password-link"])
    assert found is not None
    assert sign_in.find(bob.cookies["errata"], now=NOW) is None
    person = sign_in.find_by_link(found[1], now=NOW)
    assert person is not None
    assert person.id == "bob"
    assert found[1] not in call(ada, config, "_load").sent
    with db.write() as tx:
        asked = requests.add_request(tx, RequestKind.DRY_RUN, person_id=PersonId("ada"), reason="", now=NOW)
        requests.handle(tx, asked.id, outcome="A run would start.", now=NOW)
    later = call(ada, config, "_look", "", "0").shown
    assert "A run would start." in later["notice"]
    assert later["password-link"]["__type__"] == "update"  # what is shown once stays until it is closed
    assert call(ada, config, "_close_link").shown["password-link"] == ""
    call(ada, config, "_change_person", event={"what": "disable", "id": "bob"})
    assert "Enable it first" in call(ada, config, "_change_person", event=reset).shown["notice"]
    assert "Found your own" in call(ada, config, "_change_person", event={**reset, "id": "ada"}).shown["notice"]
    assert 'role="alert"' in call(ada, config, "_change_person", event={**reset, "id": "nobody"}).shown["notice"]


def test_an_unknown_run_has_no_report(ada: TestClient, config: dict[str, Any], db: Database) -> None:
    assert 'role="alert"' in call(ada, config, "_open_report", event={"what": "report", "id": "x"}).shown["notice"]
    assert runs.list_runs(db.read()) == []


def test_a_run_is_asked_for_with_a_recipe_of_its_own_if_it_is_in_range(
    db: Database, ada: TestClient, config: dict[str, Any], clock: Clock
) -> None:
    fields = read_fields(config, "_ask_train")

    def ask(**changed: object) -> Request:
        call(ada, config, "_ask_train", *{**fields, **{f"recipe-{name}": value for name, value in changed.items()}}.values())
        with db.write() as tx:
            (asked,) = requests.list_open(tx)
            return requests.handle(tx, asked.id, outcome="Begun.", now=clock())

    assert ask().recipe is None
    own = ask(rank=8, layers="0, 2", epochs=None).recipe
    assert own is not None
    assert read_recipe(own) == Recipe(rank=8, layers=(0, 2))
    for wrong in ({"recipe-rank": 999}, {"recipe-layers": "first"}, {"recipe-learning_rate": 7}):
        refused = call(ada, config, "_ask_train", *{**fields, **wrong}.values()).shown["notice"]
        assert "expected" in refused, wrong
    assert requests.list_open(db.read()) == []


def test_settings_are_saved_or_refused_with_a_sentence(ada: TestClient, config: dict[str, Any], operating: Operating) -> None:
    shown = call(ada, config, "_load").shown
    assert (shown["system-message"], shown["cron"], shown["least-examples"]) == ("You help a lot.", "0 2 * * *", 1)
    fields = {name: shown[name] for name in read_fields(config, "_save_settings")}
    assert "expected a moment" in call(ada, config, "_save_settings", *{**fields, "cron": "never"}.values()).shown["notice"]
    assert "Saved" in call(ada, config, "_save_settings", *{**fields, "quiet-from": " 22:00 "}.values()).shown["notice"]
    assert operating.chosen["quiet_from"] == "22:00"


def test_charts_are_drawn_of_a_period(ada: TestClient, config: dict[str, Any]) -> None:
    shown = call(ada, config, "_draw_charts", "7 days").shown
    charts = {f"chart-{name}" for name in ("thumbs", "corrections", "waiting", "learned", "first-token", "speed")}
    assert set(shown) == {*charts, "no-charts"}
    assert len(shown["chart-waiting"]["value"]["data"]) == 7
    assert not any(shown[name]["visible"] for name in charts)
    assert "Nothing has happened" in shown["no-charts"]


def make_key(ada: TestClient, config: dict[str, Any], name: str, scopes: list[str], *, page: str | None = None) -> dict[str, Any]:
    return call_at(ada, config, "_make_key", [name, scopes], mount=MOUNT, page=page).shown


def find_token(shown: dict[str, Any]) -> str:
    found = re.search(r"<code>(errata-[\w-]{40,})</code>", shown["new-key"])
    assert found is not None
    return found[1]


def test_a_key_is_shown_once_to_whoever_made_it_and_told_of_without_its_token(
    db: Database, ada: TestClient, browse: Browse, config: dict[str, Any], keys: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(0):
        shown = make_key(ada, config, " <b>shop ", ["feedback", "chat"])
        token = find_token(shown)
        bob = browse("bob", Role.ADMIN)
        later = [
            call(ada, config, "_load"),
            call(ada, config, "_look", "", "0"),
            call(bob, config, "_load"),
            call(ada, config, "_forget_token"),
            call(ada, config, "_make_key", "other", ["admin"]),
        ]
        sent = [one.sent for one in later] + [ada.get(f"{MOUNT}/config").text, ada.get(f"{MOUNT}/").text]
    assert not [text for text in sent if token in text]
    assert token not in caplog.text
    assert "curl /v1/chat/completions" in shown["new-key"]  # no browser, which tells an origin, asked here
    assert (shown["key-name"], shown["notice"], later[3].shown["new-key"]) == ("", "", "")
    key = keys.find(token, now=NOW)
    assert key is not None
    assert (key.name, {*key.scopes}, key.made_by) == ("<b>shop", {Scope.CHAT, Scope.FEEDBACK}, "ada")
    for words in ("&lt;b&gt;shop", f"…{token[-4:]}", "chat, feedback", "by ada", "never"):
        assert words in shown["keys"]
    assert re.search(r"make key: name &lt;b&gt;shop, scopes chat, feedback</td><td[^>]*>key &lt;b&gt;shop", shown["audit"])
    assert "new-key" not in later[0].shown, "what is shown once stays until it is hidden"


def test_a_key_needs_a_name_of_its_own_and_something_to_open(db: Database, ada: TestClient, config: dict[str, Any]) -> None:
    make_key(ada, config, "shop", ["chat"])
    for name, scopes, words in (
        ("other", [], "Expected a tick"),
        ("", ["chat"], "a key&#39;s name"),
        ("a/b", ["chat"], "without a slash"),
        ("Shop", ["chat"], "Shop"),
    ):
        notice = make_key(ada, config, name, scopes)["notice"]
        assert 'role="alert"' in notice
        assert words in notice
    assert not call(ada, config, "_make_key", "other", ["owner"]).is_success
    assert [one.name for one in list_keys(db.read())] == ["shop"]


def test_what_gradio_remembers_of_a_page_holds_no_token_once_it_has_arrived(
    page: gr.Blocks, ada: TestClient, config: dict[str, Any]
) -> None:
    token = find_token(make_key(ada, config, "shop", ["chat"], page="p1"))
    states = page.state_holder
    assert token in repr(states["p1"].config_values), "so that this looks where it lies"
    call_at(ada, config, "_forget_token", [], mount=MOUNT, page="p1")
    assert token not in repr(states["p1"].config_values)


def test_a_revoked_key_opens_nothing_comes_last_and_is_hidden_if_it_is_still_shown(
    ada: TestClient, config: dict[str, Any], keys: KeyRing, clock: Clock
) -> None:
    tokens, ids = [], []
    for name in ("old", "new"):
        shown = make_key(ada, config, name, ["admin"])
        tokens.append(find_token(shown))
        ids += re.findall(r'<section[^>]* data-id="(\w+)"', shown["new-key"])
        clock.move(timedelta(minutes=1))
    assert keys.find(tokens[1], now=clock()) is not None
    clock.move(timedelta(hours=3))
    told = call(ada, config, "_revoke_key", event={"what": "revoke", "id": ids[0]}).shown
    assert "The key old opens nothing any more." in told["notice"]
    assert f'data-revoked="{ids[0]}"' in told["new-key"]
    assert told["keys"].index(">new<") < told["keys"].index(">old<")
    assert "3 hours ago" in told["keys"]
    assert re.search(r"revoke key</td><td[^>]*>key old", told["audit"])
    assert [keys.find(token, now=clock()) is None for token in tokens] == [True, False]
    assert 'role="alert"' in call(ada, config, "_revoke_key", event={"what": "revoke", "id": "x"}).shown["notice"]
