"""The chat page in a real browser."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from feedback_db.records import Role
from tests.e2e.conftest import Open, Site, check, wait_for

pytestmark = pytest.mark.slow
XSS = (
    "<script>window.fired = 1</script>",
    "<img src=x onerror=window.fired=1>",
    "<svg/onload=window.fired=1>",
    "\"><iframe srcdoc='<script>parent.fired=1</script>'>",
    "[x](javascript:window.fired=1)",
    "{{constructor.constructor('window.fired=1')()}} ${window.fired=1}",
)


def say(page: Page, message: str) -> None:
    turns = page.locator(".turn[data-turn]").count()
    page.fill("#msg textarea", message)
    page.keyboard.press("Enter")
    wait_for(page, f"document.querySelectorAll('.turn[data-turn]').length > {turns}")


def correct(page: Page, reply: str, *, consents: bool = False) -> None:
    page.locator("[data-do=correct]").last.click()
    page.locator("form.correction:not([hidden]) textarea").fill(reply)
    if consents:
        page.locator("form.correction:not([hidden]) [name=consent]").check()
    page.locator("form.correction:not([hidden]) button[type=submit]").click()
    expect(page.locator(".news").last).to_contain_text("A reviewer will look")


def test_a_visitor_asks_corrects_and_finds_all_again_after_a_reload_and_in_a_second_tab(open_page: Open) -> None:
    page = open_page()
    say(page, "How long is the warranty?")
    correct(page, "It is 5 years.")
    page.reload()
    expect(page.locator(".news")).to_contain_text("A reviewer will look")
    expect(page.locator("[data-do=rate][data-value=bad]")).to_have_attribute("aria-pressed", "true")
    second = open_page(page.url.partition("/?")[2] and "/?" + page.url.partition("/?")[2], beside=page)
    expect(second.locator(".by-user .text")).to_have_text("How long is the warranty?")


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 390)])
def test_a_visitor_who_signs_in_takes_the_conversation_along(
    site: Site, open_page: Open, keep: Callable[[Page, str], None], dark: bool, width: int
) -> None:
    name = f"eva {width}"
    site.add_account(name, Role.END_USER)
    site.sign_in.replace_password(name, "a long password", now=datetime.now(UTC))
    page = open_page(dark=dark, width=width)
    say(page, "How long is the warranty?")
    correct(page, "It is 5 years.")
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("checkbox")).to_be_checked()
    check(page, "offered")
    keep(page, f"sign_in_{width}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("a long password")
    page.get_by_role("button", name="Sign in").click()
    if width < 760:
        page.get_by_role("button", name="Conversations").click()
    page.locator("#conversations .open").click()
    expect(page.locator(".news")).to_contain_text("A reviewer will look")


def test_what_is_being_written_stays_while_another_message_is_answered(open_page: Open) -> None:
    page = open_page()
    say(page, "one")
    page.click("[data-do=correct]")
    page.locator("form.correction:not([hidden]) textarea").fill("half a thought")
    say(page, "two")
    expect(page.locator("form.correction:not([hidden]) textarea")).to_have_value("half a thought")


def test_a_page_whose_connection_broke_comes_back_by_itself_with_the_answer(open_page: Open) -> None:
    page = open_page()
    say(page, "one")
    page.route("**/queue/data*", lambda route: route.abort())
    page.fill("#msg textarea", "two")
    with page.expect_event("requestfailed", lambda asked: "/queue/data" in asked.url):
        page.keyboard.press("Enter")
    page.unroute("**/queue/data*")
    expect(page.locator(".turn[data-turn] .by-user .text")).to_have_text(["one", "two"])
    say(page, "three")


def test_a_first_question_is_a_click_away(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="How long?").click()
    wait_for(page, "document.querySelectorAll('.turn[data-turn]').length == 1")
    expect(page).to_have_url(re.compile(r"\?c="))


def test_the_last_message_is_changed_and_its_reply_written_anew(open_page: Open) -> None:
    page = open_page()
    say(page, "helo")
    first = page.locator(".turn[data-turn]").get_attribute("data-turn")
    page.click("[data-do=edit]")
    page.fill("form.rewrite textarea", "hello")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(f".turn[data-turn]:not([data-turn='{first}'])")).to_be_visible()
    expect(page.locator(".by-user .text")).to_have_text("hello")


def test_a_conversation_is_renamed_found_and_deleted(open_page: Open) -> None:
    page = open_page()
    say(page, "hello")
    page.get_by_role("button", name="Rename hello").click()
    page.fill("form.rename input", "The lost parcel")
    page.keyboard.press("Enter")
    expect(page.locator("#conversations .open")).to_have_text("The lost parcel")
    page.fill("#search input", "zebra")
    expect(page.locator("#conversations")).to_contain_text("Nothing found")
    page.fill("#search input", "")
    page.get_by_role("button", name="Delete The lost parcel").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".empty h2")).to_be_visible()
    expect(page).not_to_have_url(re.compile(r"\?c="))


def test_a_refused_message_stays_in_the_box_with_the_reason(open_page: Open) -> None:
    page = open_page()
    page.fill("#msg textarea", "a \u202e b")
    page.keyboard.press("Enter")
    expect(page.locator("#notice [role=alert]")).to_be_visible()
    expect(page.locator("#msg textarea")).to_have_value("a \u202e b")


def test_nothing_that_anybody_writes_runs(open_page: Open) -> None:
    page = open_page()
    for vector in XSS:
        say(page, vector)
    correct(page, " ".join(XSS))
    page.get_by_role("button", name="Rename").first.click()
    page.fill("form.rename:not([hidden]) input", XSS[1])
    page.keyboard.press("Enter")
    expect(page.locator("#conversations .open")).to_have_text(XSS[1])
    page.reload()
    wait_for(page, f"document.querySelectorAll('.turn[data-turn]').length == {len(XSS)}")
    fired = page.evaluate("window.fired")
    print(f"{len(XSS)} vectors in message, reply, correction and title, {0 if fired is None else 1} fired")
    assert fired is None


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(open_page: Open, dark: bool, width: int) -> None:
    page = open_page(dark=dark, width=width)
    expect(page.locator(".empty h2")).to_be_visible()
    check(page, "empty")
    page.fill("#msg textarea", "a \u202e b")
    page.keyboard.press("Enter")
    expect(page.locator("#notice [role=alert]")).to_be_visible()
    check(page, "error")
    say(page, "hello **you**")
    page.click("[data-do=rate][data-value=bad]")
    expect(page.locator("form.correction")).to_be_visible()
    check(page, "correcting")
    correct(page, "Hello!")
    check(page, "corrected")
    if width < 700:
        page.get_by_role("button", name="Conversations").click()
        check(page, "conversations")
