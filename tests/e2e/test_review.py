"""The review page in a real browser."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from feedback_db import conversations, corrections, golden, people, unwatched
from feedback_db.records import Channel, ConversationId, CorrectionId, CorrectionState, PersonId, Role, TurnId
from tests.e2e.conftest import Open, Site, check, wait_for
from tests.e2e.test_chat import XSS
from tests.logged_replies import make_logged_reply

pytestmark = pytest.mark.slow
Report = Callable[..., CorrectionId]
Who = tuple[str, Role]


@pytest.fixture
def report(site: Site) -> Report:
    """Have a new visitor ask something and correct the reply, or only dislike it."""

    def report(question: str, corrected: str = "", reply: str = "The warranty lasts for 3 years.") -> CorrectionId:
        name, now = uuid.uuid4().hex, datetime.now(UTC)
        with site.errata.db.write() as tx:
            people.add_visitor(tx, PersonId(name), now=now)
            conversations.start_conversation(
                tx, ConversationId(name), person_id=PersonId(name), channel=Channel.WEB, title=question, now=now
            )
            conversations.record_consent(tx, ConversationId(name), given=True, wording="v", now=now)
            logged = make_logged_reply(question, reply)
            conversations.log_turn(tx, TurnId(name), conversation_id=ConversationId(name), logged=logged, now=now)
            if corrected:
                corrections.add_correction(
                    tx, CorrectionId(name), turn_id=TurnId(name), corrected_reply=corrected, author=PersonId(name), now=now
                )
            else:
                conversations.rate(
                    tx, TurnId(name), person_id=PersonId(name), is_good=False, reason="wrong", comment="It is not so.", now=now
                )
        return CorrectionId(name)

    return report


@pytest.fixture
def bob() -> Who:
    """A reviewer of this test alone: what somebody does is counted."""
    return f"bob {uuid.uuid4().hex}", Role.REVIEWER


def shown_key(page: Page) -> str:
    return page.locator("#item [data-key]").get_attribute("data-key") or ""


def wait_for_item(page: Page, is_it: str) -> None:
    """Wait until an item is shown for whose `key` an expression of JavaScript is true."""
    wait_for(page, f"(key => key && ({is_it}))(document.querySelector('#item [data-key]')?.dataset.key)")


def test_twenty_items_are_reviewed_by_keyboard_alone(site: Site, open_page: Open, report: Report, bob: Who) -> None:
    ids = [report(f"How long is warranty number {number}?", f"It lasts {number} years.") for number in range(20)]
    page = open_page("/review", who=bob)
    wanted = {}
    for number in range(20):
        question, key = page.locator("#item h2").inner_text(), shown_key(page)
        if number % 5 == 4:
            page.keyboard.press("e")
            page.keyboard.press("End")
            page.keyboard.type(" Keep the receipt.")
            page.keyboard.press("Escape")
        elif number % 5 == 3:
            page.keyboard.press("j")  # another one first, and back
            wait_for_item(page, f"key !== '{key}'")
            page.keyboard.press("k")
            wait_for_item(page, f"key === '{key}'")
        wanted[question] = number % 4 != 0
        page.keyboard.press("a" if wanted[question] else "r")
        if not wanted[question]:
            expect(page.locator("#note :is(input, textarea)")).to_be_focused()
            page.keyboard.type(f"Not {number}")
            page.keyboard.press("Enter")
        if number < 19:
            wait_for_item(page, f"key !== '{key}'")
    expect(page.locator("#item")).to_contain_text("Nothing waits for you")
    reader = site.errata.db.read()
    for correction_id in ids:
        found = corrections.find_correction(reader, correction_id)
        question = conversations.find_turn(reader, found.turn_id, owner=found.author_id).user_message
        assert found.state is (CorrectionState.APPROVED if wanted[question] else CorrectionState.REJECTED)
    edited = [one.final_reply for one in corrections.list_decided(reader, CorrectionState.APPROVED) if one.final_reply]
    assert sum(reply.endswith("Keep the receipt.") for reply in edited) == sum(wanted[q] for q in list(wanted)[4::5])
    assert {one.note for one in corrections.list_decided(reader, CorrectionState.REJECTED)} >= {"Not 0", "Not 16"}
    expect(page.locator("#undo")).to_contain_text("Undo: approved")
    page.keyboard.press("u")
    wait_for_item(page, "true")


def test_only_what_is_shown_is_decided_and_a_held_key_decides_once(site: Site, open_page: Open, report: Report, bob: Who) -> None:
    ids = [report(f"How long is guarantee number {number}?", f"It lasts {number} years.") for number in range(5)]
    page = open_page("/review", who=bob)
    wait_for_item(page, "true")
    # All in one task of the browser: nothing can load between the keys.
    page.evaluate("""for (const key of 'jjja') document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))""")
    last = page.locator("#queue [aria-current]").get_attribute("data-id")
    wait_for_item(page, f"key === '{last}'")

    def count_decided() -> int:
        return sum(corrections.find_correction(site.errata.db.read(), one).state is not CorrectionState.PENDING for one in ids)

    assert count_decided() == 0
    page.keyboard.down("a")
    for _ in range(5):
        page.keyboard.down("a")  # what a held key does
    page.keyboard.up("a")
    wait_for_item(page, f"key !== '{last}'")
    expect(page.locator("#notice")).to_have_text("Approved. Undo for a minute.")
    assert count_decided() == 1


def test_an_empty_page_fills_by_itself_and_what_is_ticked_is_decided(site: Site, open_page: Open, report: Report, bob: Who) -> None:
    with site.errata.db.write() as tx:
        tx.execute("DELETE FROM corrections WHERE state = 'pending'")
        tx.execute("DELETE FROM ratings")
        tx.execute("DELETE FROM open_reports")
        person = people.add_visitor(tx, PersonId(uuid.uuid4().hex), now=datetime.now(UTC))
        item = golden.add_golden(
            tx, question="How long is the warranty of a lamp?", reply="It lasts for 3 years.", added_by=person.id, now=datetime.now(UTC)
        )
    page = open_page("/review", who=bob)
    expect(page.locator("#item")).to_contain_text("Nothing waits for you")
    report("How long is the warranty of a lamp?", "It lasts for 5 years.", reply="It lasts for 3 years.")
    expect(page.locator("#item h2")).to_have_text("How long is the warranty of a lamp?", timeout=20_000)
    page.get_by_label(f"Change the answer to {item.question}").check()
    page.get_by_label(f"The changed answer to {item.question}").fill("It lasts for 5 years now.")
    page.get_by_role("button", name="Approve (A)").click()
    expect(page.locator("#notice")).to_have_text("Approved. Undo for a minute.")
    assert "It lasts for 5 years now." in {one.reply for one in golden.list_golden(site.errata.db.read())}
    page.get_by_label("Golden set", exact=True).check()
    page.locator("#queue .open").first.click()
    expect(page.locator("#item")).to_contain_text("Added by bob")


def test_nothing_that_is_reviewed_runs(site: Site, open_page: Open, report: Report, bob: Who) -> None:
    for vector in XSS:
        report(vector, f"{vector} corrected", reply=vector)
    with site.errata.db.write() as tx:
        admin = people.add_visitor(tx, PersonId(uuid.uuid4().hex), now=datetime.now(UTC))
        golden.add_golden(tx, question=XSS[0], reply=XSS[1], added_by=admin.id, now=datetime.now(UTC))
    page = open_page("/review", who=bob)
    while page.locator("#item [data-key]").count():
        key = shown_key(page)
        page.keyboard.press("a")
        wait_for(page, f"document.querySelector('#item section')?.dataset.key !== '{key}' && document.querySelector('#item section')")
    for state in ("Approved", "Rejected", "Examples", "Golden set"):
        page.get_by_label(state, exact=True).check()
        wait_for(page, "document.querySelector('#item [data-key]') === null")
    fired = page.evaluate("window.fired")
    print(f"{len(XSS)} vectors in question, reply, correction, examples and golden set, {0 if fired is None else 1} fired")
    assert fired is None


def test_one_of_several_corrections_is_chosen_by_its_number(site: Site, open_page: Open, report: Report, bob: Who) -> None:
    wanted = ("It lasts for 8 years.", "It lasts for 8 years.", "It lasts for 9 years.")
    ids = [report("How long is the warranty of a ladder?", corrected) for corrected in wanted]
    page = open_page("/review", who=bob)
    expect(page.locator("#item h2")).to_contain_text("of a ladder")  # which most people report
    expect(page.locator("#reply textarea")).to_have_value(wanted[0])
    expect(page.locator(".proposals label", has_text="9 years")).to_contain_text("2")
    page.get_by_label("Other wordings of the question").fill("until when can I return a ladder")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.locator("#reply textarea")).to_have_value(wanted[2])
    expect(page.get_by_label("Other wordings of the question")).to_have_value("until when can I return a ladder")
    # In one task of the browser, so that the page cannot show yet what is chosen: nothing is decided on what is not shown.
    page.evaluate("""for (const key of '1a') document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))""")
    expect(page.locator("#reply textarea")).to_have_value(wanted[0])
    assert {corrections.find_correction(site.errata.db.read(), one).state for one in ids} == {CorrectionState.PENDING}


def test_what_says_the_old_fact_is_seen_beside_a_correction(
    site: Site, open_page: Open, report: Report, keep: Callable[[Page, str], None]
) -> None:
    old, new = "You can return an item within 14 days of delivery.", "You can return an item within 30 days of delivery."
    report("Do you have a shop in Leeds?", "Yes, at 7 High Street, open from 9:00 to 18:00.", reply="No, we sell online only.")
    report("Where is my parcel?", "Open Orders and press Track.", reply="It is on its way.")
    report("Can I pay in three parts?", reply="Yes, with any card.")
    for _ in range(4):
        report("How long do I have to return an item?", new, reply=old)
    with site.errata.db.write() as tx:
        person = people.add_visitor(tx, PersonId(uuid.uuid4().hex), now=datetime.now(UTC))
        question = "What is your return window?"
        item = golden.add_golden(tx, question=question, reply="14 days of delivery.", added_by=person.id, now=datetime.now(UTC))
        talk = conversations.start_conversation(
            tx, ConversationId(person.id), person_id=person.id, channel=Channel.WEB, title="Swap", now=datetime.now(UTC)
        )
        conversations.record_consent(tx, talk.id, given=True, wording="v", now=datetime.now(UTC))
        logged = make_logged_reply("can I swap a lamp for another one", "Yes, you can swap it within 14 days.")
        conversations.log_turn(tx, TurnId(person.id), conversation_id=talk.id, logged=logged, now=datetime.now(UTC))
    site.add_account("ada", Role.ADMIN)  # the second reviewer
    page = open_page("/review", who=("rita", Role.REVIEWER))
    page.set_viewport_size({"width": 1280, "height": 960})
    expect(page.locator("#item h2")).to_contain_text("return an item")  # which most people report
    expect(page.locator("#related")).to_contain_text("Guard set")
    expect(page.locator("#related")).to_contain_text(item.question)
    page.get_by_label("Stop watching").check()
    page.get_by_label(f"Retire the answer to {item.question}").check()
    check(page, "known")
    keep(page, "review")
    page.locator("#approve").click()
    expect(page.locator("#notice")).to_have_text("Approved. Undo for a minute.")
    assert unwatched.list_unwatched(site.errata.db.read())
    page.keyboard.press("u")
    expect(page.locator("#notice")).to_have_text("Undone.")
    assert not unwatched.list_unwatched(site.errata.db.read())


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(open_page: Open, report: Report, bob: Who, dark: bool, width: int) -> None:
    report("How long is the warranty of a kettle?", "It lasts for 5 years. Write to help@acme.example.")
    report("how long is the warranty of a kettle", "It lasts for 6 years.")
    report("Where is the nearest shop?")
    page = open_page("/review", dark=dark, width=width, who=bob)
    expect(page.locator("#item h2")).to_be_visible()
    check(page, "an item")
    page.locator("#reply textarea").fill("It lasts for 7 years. See https://evil.example/x")
    expect(page.locator("#badges")).to_contain_text("new link")
    check(page, "edited")
    page.locator("#help summary").click()
    check(page, "keys")
    if width < 700:
        page.get_by_role("button", name="Queue").click()
    for state in ("Approved", "Rejected", "Examples", "Golden set"):
        page.get_by_label(state, exact=True).check()
        wait_for(page, "document.querySelector('#item [data-key]') === null")
        check(page, state)
    page.get_by_label("Waiting", exact=True).check()
    expect(page.locator("#item h2")).to_be_visible()
    if width < 700:
        page.get_by_role("button", name="Queue").click()
    for _ in range(3):
        page.keyboard.press("s")
    check(page, "skipped")
