"""The chat page in a real browser while replies are written, and after it was drawn anew."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from assistant.answering import UnderWay
from feedback_db.records import Role
from tests.e2e.conftest import Open, wait_for
from tests.e2e.test_chat import correct, say

pytestmark = pytest.mark.slow
FORM = "form.correction:not([hidden])"
_HOLD = """
const fetched = window.fetch
window.fetch = async (...told) => {
  const asking = new Request(...told)
  const {fn_index: id} = asking.url.includes('queue/join') ? await asking.clone().json() : {}
  if (id !== undefined && gradio_config.dependencies.find((one) => one.id === id).api_name === '%s') {
    await new Promise((go) => { window.letGo = go })
  }
  return fetched(asking)
}
"""


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What half-written replies wait for; it is set until a test clears it."""
    go, run = threading.Event(), UnderWay.run

    def run_once_set(found: UnderWay) -> None:
        found.text = "" if go.is_set() else "Half of"
        go.wait(20)
        run(found)

    monkeypatch.setattr(UnderWay, "run", run_once_set)
    go.set()
    yield go
    go.set()


def begin(page: Page, message: str) -> None:
    """Ask something and wait until half of the reply is there."""
    page.fill("#msg textarea", message)
    page.keyboard.press("Enter")
    expect(page.locator("#pending .writing")).to_have_text("Half of")
    expect(page.locator("#pending .by-user .text")).to_have_text(message)


def hold(page: Page, function: str) -> None:
    """Load a page whose server hears what it asks of a function only once `letGo` is called."""
    page.add_init_script(_HOLD % function)
    page.reload()


def watch_log(page: Page, words: str) -> None:
    """Have `isBack` say whether the log has shown these words since."""
    page.evaluate(f"""
      new MutationObserver(() => {{ window.isBack ||= document.querySelector('#chat').textContent.includes({words!r}) }})
        .observe(document.querySelector('#chat'), {{childList: true, subtree: true}})
    """)


def open_listed(page: Page, title: str) -> None:
    page.locator("#conversations .open", has_text=title).click()


def wait_for_focus(page: Page, selector: str) -> None:
    wait_for(page, f"document.activeElement.matches({selector!r})")


def test_a_reply_stays_in_its_conversation_and_another_one_is_answered_meanwhile(open_page: Open, go_on: threading.Event) -> None:
    page = open_page()
    say(page, "first talk")
    page.click("#new")
    expect(page.locator(".empty h2")).to_be_visible()
    go_on.clear()
    begin(page, "second talk")
    second = page.url
    open_listed(page, "first talk")
    expect(page.locator("#chat .by-user .text")).to_have_text("first talk")
    expect(page.locator("#pending .turn")).to_have_count(0)
    begin(page, "more of the first")
    open_listed(page, "second talk")
    expect(page.locator("#pending .by-user .text")).to_have_text("second talk")
    page.click("#new")
    expect(page.locator(".empty h2")).to_be_visible()
    expect(page.locator("#pending .turn")).to_have_count(0)
    page.fill("#msg textarea", "a third at once")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("at most 2 answers")
    expect(page.locator("#msg textarea")).to_have_value("a third at once")
    go_on.set()
    open_listed(page, "first talk")
    expect(page.locator("#chat .by-user .text")).to_have_text(["first talk", "more of the first"])
    expect(page).not_to_have_url(second)
    open_listed(page, "second talk")
    expect(page.locator("#chat .by-user .text")).to_have_text(["second talk"])
    expect(page).to_have_url(second)


def test_back_leads_to_the_conversation_before(open_page: Open) -> None:
    page = open_page()
    say(page, "one")
    page.click("#new")
    expect(page.locator(".empty h2")).to_be_visible()
    say(page, "two")
    open_listed(page, "one")
    expect(page.locator("#chat .by-user .text")).to_have_text("one")
    page.go_back()
    expect(page.locator("#chat .by-user .text")).to_have_text("two")
    page.go_forward()
    expect(page.locator("#chat .by-user .text")).to_have_text("one")


def test_a_conversation_that_is_deleted_while_it_is_answered_ends_in_both_tabs(open_page: Open, go_on: threading.Event) -> None:
    page = open_page()
    say(page, "the first")
    other = open_page(f"/?{page.url.partition('?')[2]}", beside=page)
    expect(other.locator("#chat .by-user .text")).to_have_text("the first")
    go_on.clear()
    begin(other, "the second")
    page.reload()
    expect(page.locator("#pending .turn")).to_be_visible()
    page.get_by_role("button", name="Delete the first").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    go_on.set()
    expect(page.locator(".empty h2")).to_be_visible()
    wait_for(page, "!location.search")
    expect(other.locator("#pending .turn")).to_have_count(0)
    if other.locator(".empty h2").count() == 0:  # it was told that the answer had ended before all was deleted
        other.fill("#msg textarea", "still there?")
        other.keyboard.press("Enter")
    expect(other.locator("#notice")).to_contain_text("was deleted")
    wait_for(other, "!location.search")
    assert other.locator(".toast-body").count() == 0


def test_a_message_whose_answer_is_lost_comes_back_into_the_box(open_page: Open) -> None:
    page = open_page()
    say(page, "one")
    wait_for(page, "sessionStorage.getItem('asked') === null")
    page.evaluate("sessionStorage.setItem('asked', 'two')")  # as a server that falls leaves it
    page.reload()
    expect(page.locator("#msg textarea")).to_have_value("two")
    expect(page.locator("#notice")).to_contain_text("no answer yet")
    say(page, "two")
    wait_for(page, "sessionStorage.getItem('asked') === null")


@pytest.mark.parametrize("width", [1280, 390])
def test_whoever_dislikes_a_reply_sees_the_form_and_is_in_it(open_page: Open, width: int) -> None:
    page = open_page(width=width)
    for message in ("one", "two", "three"):
        say(page, message)
    page.locator("[data-do=rate][data-value=bad]").last.click()
    wait_for_focus(page, f"{FORM} [name=reason]")
    expect(page.locator("[data-do=rate][data-value=bad]").last).to_have_attribute("aria-pressed", "true")
    wait_for_focus(page, f"{FORM} [name=reason]")
    send, foot = page.locator(f"{FORM} [type=submit]").bounding_box(), page.locator("#foot").bounding_box()
    assert send is not None
    assert foot is not None
    assert send["y"] + send["height"] <= foot["y"]
    page.locator("[data-do=rate][data-value=bad]").last.click()
    expect(page.locator(FORM)).to_have_count(0)


def test_every_feedback_is_acknowledged_closes_the_form_and_leaves_the_focus_beside_it(open_page: Open) -> None:
    page = open_page()
    say(page, "one")
    page.click("[data-do=correct]")
    page.locator(f"{FORM} [type=submit]").click()
    expect(page.locator("#notice")).to_contain_text("nothing was noted")
    expect(page.locator(FORM)).to_have_count(0)
    wait_for_focus(page, "[data-do=correct]")
    correct(page, "two")
    expect(page.locator(FORM)).to_have_count(0)
    wait_for_focus(page, "[data-do=correct]")
    page.click("[data-do=correct]")
    expect(page.locator(FORM)).to_contain_text("which waits for a reviewer")
    page.locator(f"{FORM} [value=tone]").check()
    page.locator(f"{FORM} [type=submit]").click()
    expect(page.locator("#notice")).to_contain_text("Thank you")


def test_a_refused_correction_stays_open_with_what_was_written(open_page: Open) -> None:
    page = open_page()
    say(page, "one")
    page.click("[data-do=correct]")
    page.locator(f"{FORM} textarea").fill("a \u202e b")
    page.locator(f"{FORM} [type=submit]").click()
    expect(page.locator("#notice [role=alert]")).to_be_visible()
    expect(page.locator(f"{FORM} textarea")).to_have_value("a \u202e b")


def test_a_message_that_is_being_changed_stays_while_its_reply_is_rated(open_page: Open) -> None:
    page = open_page()
    say(page, "helo")
    page.click("[data-do=edit]")
    page.fill("form.rewrite textarea", "hello")
    page.click("[data-do=rate][data-value=good]")
    expect(page.locator("[data-do=rate][data-value=good]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("form.rewrite textarea")).to_have_value("hello")


def test_a_reply_is_read_out_once_when_it_is_whole_and_asking_again_leaves_the_focus_at_the_box(
    open_page: Open, go_on: threading.Event
) -> None:
    page = open_page()
    go_on.clear()
    begin(page, "one")
    status = page.locator("body > [role=status]")
    expect(status).to_have_text("")
    go_on.set()
    expect(page.locator("#chat .by-errata .text")).to_be_visible()
    expect(status).to_have_text(page.locator("#chat .by-errata .text").inner_text())
    first = page.locator("#chat .turn").get_attribute("data-turn")
    page.click("[data-do=retry]")
    expect(page.locator(f"#chat .turn:not([data-turn='{first}'])")).to_be_visible()
    wait_for_focus(page, "#msg textarea")


def test_what_is_searched_for_is_gone_once_everything_is_listed(open_page: Open) -> None:
    page = open_page()
    say(page, "hello")
    page.fill("#search input", "zebra")
    expect(page.locator("#conversations")).to_contain_text("Nothing found")
    say(page, "more")
    expect(page.locator("#search input")).to_have_value("")
    expect(page.locator("#conversations .open")).to_have_text("hello")


def test_what_goes_wrong_many_times_is_said_once(open_page: Open) -> None:
    page = open_page()
    say(page, "hello")
    page.route("**/queue/join*", lambda route: route.fulfill(status=429, json={"detail": "Too much."}))
    page.click("[data-do=rate][data-value=good]")
    expect(page.locator(".toast-message-item")).to_have_count(1)
    page.click("#new")
    expect(page.locator(".toast-message-item")).to_have_count(2)
    expect(page.locator(".toast-message-item:visible")).to_have_count(1)


def test_the_link_of_the_page_that_is_shown_looks_otherwise_than_the_others(open_page: Open) -> None:
    page = open_page(who=("ada", Role.ADMIN))
    expect(page.locator("#header [aria-current=page]")).to_have_text("Chat")
    look = "(link) => { const it = getComputedStyle(link); return [it.color, it.fontWeight, it.borderBottomWidth] }"
    here, other = (page.locator(f"#header a{part}").first.evaluate(look) for part in ("[aria-current]", ":not([aria-current])"))
    assert here[0] != other[0]
    assert here[1:] == ["650", "2px"]


def test_the_cursor_stands_behind_the_last_word(open_page: Open, go_on: threading.Event) -> None:
    page = open_page()
    go_on.clear()
    begin(page, "one")
    assert page.evaluate("getComputedStyle(document.querySelector('#pending .writing > p'), '::after').width") != "auto"
    assert page.evaluate("document.querySelector('#pending .writing > p').offsetHeight") < 40
    go_on.set()


def test_what_is_refused_before_the_page_is_whole_is_still_said_when_it_is(open_page: Open) -> None:
    page = open_page()
    hold(page, "_load")
    wait_for(page, "!!window.letGo")
    page.fill("#msg textarea", "a \u202e b")
    page.keyboard.press("Enter")
    expect(page.locator("#notice [role=alert]")).to_be_visible()
    page.evaluate("letGo()")
    expect(page.locator(".empty h2")).to_be_visible()
    expect(page.locator("#notice [role=alert]")).to_be_visible()
    expect(page.locator("#msg textarea")).to_have_value("a \u202e b")


def test_what_is_answered_before_the_page_is_whole_stays_when_it_is(open_page: Open) -> None:
    page = open_page()
    hold(page, "_load")
    wait_for(page, "!!window.letGo")
    say(page, "hello")
    watch_log(page, "How can I help?")
    page.evaluate("letGo()")
    say(page, "more")
    assert page.evaluate("window.isBack") is not True
    expect(page.locator("#chat .by-user .text")).to_have_text(["hello", "more"])


def test_a_late_rating_is_not_drawn_over_the_conversation_that_was_opened_since(open_page: Open) -> None:
    page = open_page()
    hold(page, "_rate")
    say(page, "first talk")
    page.click("[data-do=rate][data-value=good]")
    page.click("#new")
    expect(page.locator(".empty h2")).to_be_visible()
    watch_log(page, "first talk")
    page.evaluate("letGo()")
    say(page, "second talk")
    assert page.evaluate("window.isBack") is not True
    open_listed(page, "first talk")
    expect(page.locator("[data-do=rate][data-value=good]")).to_have_attribute("aria-pressed", "true")


def test_another_tab_goes_on_when_its_person_has_another_session(open_page: Open) -> None:
    pia = ("pia", Role.END_USER)
    page = open_page(who=pia)
    say(page, "first talk")
    open_page(beside=page, who=pia)  # as after another password
    say(page, "and more of it")
    expect(page.locator("#chat .turn")).to_have_count(2)


def test_a_tab_whose_browser_is_somebody_elses_by_now_is_loaded_anew_and_keeps_the_message(open_page: Open) -> None:
    page = open_page()
    say(page, "first talk")
    open_page(beside=page, who=("quinn", Role.END_USER))
    page.fill("#msg textarea", "and more of it")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="quinn: change your password")).to_be_visible()
    expect(page.locator("#msg textarea")).to_have_value("and more of it")
    expect(page.locator("#notice")).to_contain_text("no answer yet")


def test_what_is_asked_before_the_page_is_whole_is_asked_in_the_conversation_of_its_address(open_page: Open) -> None:
    page = open_page()
    say(page, "first talk")
    address = page.url
    hold(page, "_load")
    wait_for(page, "!!window.letGo")
    page.fill("#msg textarea", "and more of it")
    page.keyboard.press("Enter")
    expect(page.locator("#chat .turn[data-turn] .by-user .text")).to_have_text(["first talk", "and more of it"])
    page.evaluate("letGo()")
    say(page, "and the rest")
    assert page.url == address
    expect(page.locator("#conversations li")).to_have_count(1)
