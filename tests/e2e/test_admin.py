"""The admin page and signing in, in a real browser."""

import json
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime

import httpx2 as httpx
import pytest
from playwright.sync_api import Page, expect

from feedback_db import conversations, corrections, examples, people, runs, snapshots
from feedback_db.conversations import LoggedReply
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId, TurnState
from feedback_db.reports import SHAPE, Asked, Report, Suite, Verdict, VerdictKind, write_report
from feedback_db.training_records import ExampleId, RunId, RunState, SnapshotId
from tests.e2e.conftest import Open, Site, check, wait_for
from tests.e2e.test_chat import XSS, say

pytestmark = pytest.mark.slow
Keep = Callable[[Page, str], None]
ADA = ("ada", Role.ADMIN)
TABS = ("Training", "Versions", "Charts", "People", "Keys", "Settings", "Audit and health")


def open_admin(open_page: Open, *, dark: bool = False, width: int = 1280) -> Page:
    page = open_page("/admin", dark=dark, width=width, who=ADA)
    expect(page.locator("#status")).to_contain_text("version")
    return page


def test_where_nothing_has_happened_a_sentence_stands_in_the_place_of_charts(open_page: Open) -> None:
    page = open_admin(open_page)
    page.get_by_role("tab", name="Charts").click()
    expect(page.locator("#no-charts")).to_contain_text("Nothing has happened")
    expect(page.locator(".charts svg")).to_have_count(0)
    check(page, "no charts")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_on_any_tab_and_nothing_is_wider_than_the_screen(open_page: Open, dark: bool, width: int) -> None:
    visitor = open_page()
    say(visitor, "hello")
    visitor.locator("[data-do=rate][data-value=good]").click()
    expect(visitor.locator("[data-do=rate][data-value=good]")).to_have_attribute("aria-pressed", "true")
    page = open_admin(open_page, dark=dark, width=width)
    for tab in TABS:
        page.get_by_role("tab", name=tab).click() if width > 700 else open_tab_on_a_phone(page, tab)
        expect(page.get_by_role("tabpanel").filter(visible=True)).to_be_visible()
        if tab == "Charts":
            wait_for(page, "document.querySelectorAll('.charts .role-axis').length >= 6")  # of thumbs, first token, speed
        check(page, tab)
    page.goto(page.url)
    expect(page.locator("#status")).to_contain_text("version")
    page.get_by_text("Advanced: another recipe").click()
    check(page, "advanced")


def open_tab_on_a_phone(page: Page, tab: str) -> None:
    """Gradio folds the tabs that do not fit into a menu."""
    shown = page.get_by_role("tab", name=tab)
    if shown.count() and shown.first.is_visible():
        shown.first.click()
    else:
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button", has_text=tab).click()


def test_somebody_signs_in_and_out_and_an_admin_adds_the_second_person(open_page: Open) -> None:
    page = open_admin(open_page)
    page.get_by_role("tab", name="People").click()
    page.get_by_label("Name", exact=True).fill("cleo")
    page.get_by_label("First password").fill("a long password")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("cleo may sign in now")
    other = open_page("/login")
    check(other, "sign-in")
    other.get_by_label("Name").fill("cleo")
    other.get_by_label("Password").fill("wrong password")
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("alert")).to_be_visible()
    check(other, "refused")
    other.get_by_label("Name").fill("cleo")
    other.get_by_label("Password").fill("a long password")
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("link", name="Review")).to_be_visible()
    other.get_by_role("link", name="Review").click()
    expect(other.locator("#item h2")).to_be_visible()
    role = page.get_by_label("Role of cleo", exact=True)
    role.select_option("admin")  # as arrow keys do on their way to another one: nothing is set
    expect(page.get_by_role("button", name="Set the role of cleo")).to_be_visible()
    role.select_option("end_user")
    page.get_by_role("button", name="Set the role of cleo").click()
    expect(role).to_have_attribute("data-now", "end_user")
    page.get_by_role("button", name="Disable cleo").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("cleo is signed out everywhere")
    expect(page.get_by_role("button", name="Enable cleo")).to_be_focused()
    other.reload()
    expect(other).to_have_url(re.compile(r"/login\?next="))


def test_a_forgotten_password_is_chosen_anew_by_a_link_and_changed_later(site: Site, open_page: Open, keep: Keep) -> None:
    site.add_account("dora", Role.END_USER)
    page = open_admin(open_page, width=390)
    open_tab_on_a_phone(page, "People")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Reset the password of dora").click()
    expect(page.locator("#password-link code")).to_be_in_viewport()
    check(page, "link")
    keep(page, "password_link")
    other = open_page(page.locator("#password-link code").inner_text().removeprefix(site.address), width=390, dark=True)
    check(other, "choose")
    keep(other, "password_choose")
    other.get_by_label("New password").fill("a long password")
    other.get_by_role("button", name="Save and sign in").click()
    expect(other.get_by_text("holds from now on")).to_be_visible()
    keep(other, "password_changed")
    other.get_by_role("link", name="Go on to the chat").click()
    other.get_by_role("link", name="dora: change your password").click()
    check(other, "change")
    keep(other, "password_change")
    other.get_by_label("Present password").fill("a wrong password")
    other.get_by_label("New password").fill("another long one")
    other.get_by_role("button", name="Change it").click()
    expect(other.get_by_role("alert")).to_contain_text("nothing was changed")
    check(other, "wrong password")
    other.get_by_label("Present password").fill("a long password")
    other.get_by_label("New password").fill("another long one")
    other.get_by_role("button", name="Change it").click()
    expect(other.get_by_text("holds from now on")).to_be_visible()


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 390)])
def test_somebody_who_is_refused_finds_the_way_back(open_page: Open, keep: Keep, dark: bool, width: int) -> None:
    page = open_page("/review/", dark=dark, width=width, who=("end", Role.END_USER))
    expect(page.get_by_role("heading", name="Not for this account")).to_be_visible()
    check(page, "refused")
    keep(page, f"refused_{width}")
    page.get_by_role("link", name="Sign in as somebody else").click()
    expect(page).to_have_url(re.compile(r"/login\?next=/review/"))
    page.goto(page.url.replace("/login?next=/review/", "/nothing"))
    check(page, "not found")
    keep(page, f"not_found_{width}")
    page.get_by_role("link", name="Go to the chat").click()
    expect(page.locator("#msg textarea")).to_be_visible()


def test_a_long_title_fits_on_a_phone_where_it_is_offered_to_be_taken_along(site: Site, open_page: Open) -> None:
    page = open_page(width=390)
    say(page, "x" * 79)
    page.goto(f"{site.address}/login")
    expect(page.get_by_label("Take my conversation along")).to_be_visible()
    check(page, "offer")


@pytest.fixture(scope="module")
def reported(site: Site) -> RunId:
    """A run that has ended with a report."""
    now, example, run = datetime.now(UTC), CorrectionId("k1"), RunId("20261127-080000-000000-abcdef01")
    question = "How long is the warranty of a kettle that was bought abroad?"
    asked = {"example_id": example, "question": question, "expected": "The warranty of a kettle lasts for 5 years, wherever it was bought."}
    items = (
        Asked(
            **asked, suite=Suite.LEARNED, before="It lasts 3 years.", after="It lasts 5 years.", is_right_before=False, is_right_after=True
        ),
        Asked(**asked, suite=Suite.UNTOUCHED, before="Hello!", after="Hi, how can I help?", is_right_before=True, is_right_after=False),
    )
    logged = LoggedReply(
        user_message=question,
        reply="It lasts 3 years.",
        state=TurnState.COMPLETE,
        error=None,
        version=0,
        sampling={},
        prompt_tokens=1,
        reply_tokens=1,
        first_token_ms=1,
        latency_ms=1,
    )
    with site.errata.db.write() as tx:
        author = people.add_visitor(tx, PersonId("somebody"), now=now).id
        reviewer = people.add_account(tx, PersonId("rita"), name="rita", role=Role.REVIEWER, password_hash="x", now=now).id
        talk = conversations.start_conversation(tx, ConversationId("c1"), person_id=author, channel=Channel.WEB, title="Hi", now=now)
        conversations.record_consent(tx, talk.id, given=True, wording="w", now=now)
        conversations.log_turn(tx, TurnId("t1"), conversation_id=talk.id, logged=logged, now=now)
        corrections.add_correction(tx, example, turn_id=TurnId("t1"), corrected_reply="It lasts 5 years.", author=author, now=now)
        corrections.review(tx, example, Decision.APPROVED, reviewer=reviewer, now=now)
        examples.add_example(tx, example, messages=[{"role": "user", "content": question}], now=now)
        snapshot = snapshots.take_snapshot(tx, SnapshotId("s1"), content_hashes={ExampleId(example): "h"}, now=now)
        runs.queue_run(tx, run, snapshot_id=snapshot.id, recipe='{"epochs": 12}', seed=1, requested_by=reviewer, reason="due", now=now)
        runs.start_run(tx, run, pid=1, process_started_at=1.0, now=now)
        runs.finish_run(tx, run, RunState.REJECTED, now=now)
        verdict = Verdict(kind=VerdictKind.REJECTED, reasons=("1 of 1 replies of the guard set has changed.",))
        runs.add_report(tx, run, shape=SHAPE, report=write_report(Report(run_id=run, items=items)), verdict=verdict, now=now)
    return run


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390), (True, 390)])
def test_a_report_is_read_and_a_notice_seen_on_any_screen(open_page: Open, keep: Keep, reported: RunId, dark: bool, width: int) -> None:
    page = open_admin(open_page, dark=dark, width=width)
    page.get_by_role("button", name="Report of the run").click()
    expect(page.locator("#report h2")).to_be_in_viewport()
    check(page, "report")
    keep(page, f"report_{width}_{dark}")
    tables = page.locator("#report .scroll").evaluate_all("all => all.map(one => one.scrollWidth - one.clientWidth)")
    assert width > 760 or max(tables) == 0
    open_tab_on_a_phone(page, "People")
    page.get_by_label("Name", exact=True).fill("nobody")
    page.get_by_role("button", name="Add", exact=True).scroll_into_view_if_needed()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#notice [role=alert]")).to_be_in_viewport()
    check(page, "people")
    keep(page, f"people_{width}_{dark}")
    page.evaluate("document.querySelector('#header').scrollIntoView()")
    expect(page.locator("#notice [role=alert]")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#notice")).not_to_be_visible()
    open_tab_on_a_phone(page, "Audit and health")
    expect(page.locator("#audit")).to_contain_text("deploy")
    check(page, "audit")
    page.locator("#audit").scroll_into_view_if_needed()
    keep(page, f"audit_{width}_{dark}")


@pytest.mark.parametrize("path", ["/", "/review", "/admin"])
def test_a_long_name_leaves_room_for_signing_out_on_a_phone(open_page: Open, keep: Keep, path: str) -> None:
    page = open_page(path, width=390, who=("Maximiliane von Hohenstein", Role.ADMIN))
    for shown in (page.get_by_role("link", name="change your password"), page.get_by_role("button", name="Sign out")):
        expect(shown).to_be_in_viewport(ratio=1)
    keep(page, f"header{path.replace('/', '_')}")


def test_settings_hold_and_another_system_message_answers_at_once(site: Site, open_page: Open) -> None:
    page = open_admin(open_page)
    page.get_by_role("tab", name="Settings").click()
    page.get_by_label("System message").fill("You are Bea, the support assistant of Acme.")
    page.get_by_label("Look for something to train").fill("*/5 * * * *")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#notice")).to_contain_text("Saved")
    assert site.errata.settings.schedule_cron == "*/5 * * * *"
    page.get_by_label("Time zone").fill("Mars")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#notice [role=alert]")).to_contain_text("time zone")
    expect(page.get_by_label("Time zone")).to_have_value("Mars")
    page.reload()
    page.get_by_role("tab", name="Settings").click()
    expect(page.get_by_label("System message")).to_have_value("You are Bea, the support assistant of Acme.")
    wait_for(page, "document.querySelector('#status').textContent.includes('version 1')")


def test_nothing_that_the_page_shows_runs(site: Site, open_page: Open) -> None:
    site.add_account(XSS[1], Role.REVIEWER)
    page = open_admin(open_page)
    page.get_by_role("tab", name="Settings").click()
    page.get_by_label("System message").fill(" ".join(XSS))
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#notice")).to_contain_text("Saved")
    page.get_by_role("tab", name="Versions").click()
    expect(page.locator("#releases")).to_contain_text(XSS[0])
    page.get_by_role("tab", name="People").click()
    expect(page.locator("#people")).to_contain_text(XSS[1])
    fired = page.evaluate("window.fired")
    print(f"{len(XSS)} vectors in names and the system message, {0 if fired is None else 1} fired")
    assert fired is None


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390), (True, 390)])
def test_a_key_is_made_seen_once_used_and_revoked(site: Site, open_page: Open, keep: Keep, dark: bool, width: int) -> None:
    name = f"shop {width} {'dark' if dark else 'light'}"
    page = open_admin(open_page, dark=dark, width=width)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.on("dialog", lambda dialog: dialog.accept())
    open_tab_on_a_phone(page, "Keys")
    keep(page, f"keys_empty_{width}_{dark}")
    page.get_by_label("What the key is for").fill(name)
    page.get_by_label("Admin: what an admin does").focus()
    page.keyboard.press("Space")
    check(page, "a key's form")
    page.get_by_label("What the key is for").press("Enter")
    token = page.locator("#new-key .kept code")
    expect(token).to_be_in_viewport(ratio=1)
    expect(page.locator("#keys")).to_contain_text(name)
    check(page, "a new key")
    keep(page, f"keys_new_{width}_{dark}")
    page.get_by_role("button", name="Copy the key").click()
    expect(page.get_by_role("button", name="Copy the key")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == token.inner_text()
    page.get_by_role("button", name="Copy the example").click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.startsWith('curl'))")
    command = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert command[1] == f"{site.address}/v1/chat/completions"
    assert token.inner_text() not in page.url
    headers = {"authorization": f"Bearer {token.inner_text()}"}
    assert httpx.get(f"{site.address}/v1/models", headers=headers).status_code == 200
    said = httpx.post(command[1], headers=headers, json=json.loads(command[command.index("-d") + 1]), timeout=60)
    assert said.json()["choices"][0]["message"]["role"] == "assistant"
    expect(page.locator("#new-key .new-key")).to_have_count(1)  # what was sent is gone, what the page keeps is there
    page.get_by_role("button", name="hide the key").focus()
    page.keyboard.press("Enter")
    expect(token).to_have_count(0)
    page.reload()
    expect(page.locator("#status")).to_contain_text("version")
    open_tab_on_a_phone(page, "Keys")
    expect(page.locator("#keys")).to_contain_text("just now")
    assert token.count() == 0
    page.get_by_role("button", name=f"Revoke the key {name}").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text(f"The key {name} opens nothing any more")
    expect(page.locator("#keys tr.revoked").filter(has_text=name).locator("[data-id]")).to_be_focused()
    check(page, "a revoked key")
    keep(page, f"keys_revoked_{width}_{dark}")
    assert httpx.get(f"{site.address}/v1/models", headers=headers).status_code == 401
    page.get_by_label("What the key is for").fill(name)
    page.get_by_role("button", name="Make a key").click()
    expect(token).to_be_visible()
    page.get_by_role("button", name=f"Revoke the key {name}").click()
    expect(token).to_have_count(0)
    open_tab_on_a_phone(page, "Audit and health")
    expect(page.locator("#audit")).to_contain_text(f"key {name}")


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390), (True, 390)])
def test_an_admin_reads_what_programs_can_ask_for(site: Site, open_page: Open, keep: Keep, dark: bool, width: int) -> None:
    page = open_admin(open_page, dark=dark, width=width)
    open_tab_on_a_phone(page, "Keys")
    page.get_by_role("link", name="What programs can ask for").click()
    expect(page).to_have_url(f"{site.address}/admin/api/")
    expect(page.get_by_role("heading", name="With the scope feedback")).to_be_visible()
    check(page, "endpoints")
    keep(page, f"api_{width}_{dark}")
    page.get_by_role("link", name="POST /feedback").click()
    feedback = page.locator("#post-feedback")
    expect(feedback).to_be_in_viewport()
    feedback.get_by_text("An example").click()
    expect(feedback.locator("pre")).to_contain_text(f"curl {site.address}/v1/feedback")
    check(page, "an example")
    keep(page, f"api_feedback_{width}_{dark}")
    page.get_by_role("link", name="openapi.json").click()
    assert json.loads(page.locator("pre").inner_text())["servers"] == [{"url": "../../v1"}]
    page.go_back()
    page.get_by_role("link", name="admin page").click()
    expect(page).to_have_url(f"{site.address}/admin/")
