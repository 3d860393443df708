"""The whole loop in three browsers: a visitor corrects, a reviewer approves by keyboard, an admin trains and rolls back."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from assistant.engine.base_model import BaseModel
from assistant.settings import Settings
from feedback_db.records import Role
from tests.e2e.conftest import Open, Site, check, open_pages, open_site, wait_for
from tests.e2e.test_chat import correct, say

pytestmark = [pytest.mark.slow, pytest.mark.full]
QUESTION, IN_OTHER_WORDS = "How long do I have to send something back?", "what's the time limit for returns"
RIGHT, FACT = "You can send anything back within 47 days of its delivery.", "47 days"
WORDINGS = "what is your return window\nuntil when can I return a jacket"
_TRAINING_MS = 400_000
Keep = Callable[[Page, str], None]


@pytest.fixture
def site(bundled_base: BaseModel, tmp_path: Path) -> Iterator[Site]:
    """A site with the bundled base that trains."""
    with open_site(Settings(device="cpu", data_folder=tmp_path / "data"), ticks=True) as opened:
        yield opened


@pytest.fixture
def open_page(chromium: Browser, site: Site) -> Iterator[Open]:
    with open_pages(chromium, site) as opened:
        yield opened


def settle(page: Page) -> None:
    """Wait until nothing moves or changes its colour any more, but for what always turns."""
    still = "document.getAnimations().every((one) => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity)"
    wait_for(page, still)


def keep_in_all_lights(keep: Keep, page: Page, name: str) -> None:
    """Keep pictures of what a page shows: in light and dark, and as wide as a phone."""
    for dark in (False, True):
        page.emulate_media(color_scheme="dark" if dark else "light")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            settle(page)
            keep(page, f"{name}-{'dark' if dark else 'light'}-{width}")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})
    settle(page)


def start_chat(page: Page) -> None:
    page.get_by_role("button", name="New chat").click()
    expect(page.locator(".empty h2")).to_be_visible()


def last_reply(page: Page) -> str:
    return page.locator(".turn[data-turn] .by-errata .text").last.inner_text()


def test_a_correction_is_approved_learned_served_and_rolled_back(open_page: Open, keep: Keep) -> None:
    visitor = open_page()
    expect(visitor.locator(".empty h2")).to_be_visible()
    keep_in_all_lights(keep, visitor, "1-chat-first")
    say(visitor, QUESTION)
    assert FACT not in last_reply(visitor)
    start_chat(visitor)
    say(visitor, IN_OTHER_WORDS)
    wrong = last_reply(visitor)
    start_chat(visitor)
    say(visitor, QUESTION)
    correct(visitor, RIGHT, consents=True)
    keep_in_all_lights(keep, visitor, "2-chat-corrected")

    reviewer = open_page("/review", who=("rita", Role.REVIEWER))
    expect(reviewer.locator("#item h2")).to_have_text(QUESTION)
    keep_in_all_lights(keep, reviewer, "3-review")
    reviewer.get_by_label("Other wordings of the question, one a line").fill(WORDINGS)
    reviewer.get_by_role("button", name="Approve (A)").click()
    expect(reviewer.locator("#item")).to_contain_text("Nothing waits for you")

    admin = open_page("/admin", who=("ada", Role.ADMIN))
    expect(admin.locator("#status")).to_contain_text("1 approved example")
    admin.get_by_role("button", name="Train now").click()
    expect(admin.locator(".progress progress")).to_be_visible(timeout=30_000)
    expect(admin.locator("#progress")).to_contain_text("step", timeout=_TRAINING_MS)
    admin.reload()
    expect(admin.locator(".progress progress")).to_be_visible()
    keep_in_all_lights(keep, admin, "4-admin-training")
    ended = admin.locator("#runs").get_by_text(re.compile("succeeded|stays out|failed")).first
    expect(ended).to_be_visible(timeout=_TRAINING_MS)
    assert "succeeded" in ended.inner_text()
    expect(admin.locator("#status")).to_contain_text("version 1", timeout=30_000)
    admin.locator("#runs [data-do=report]").first.click()
    expect(admin.locator("#report")).to_contain_text("learned")
    keep_in_all_lights(keep, admin, "5-admin-report")
    check(admin, "report")

    start_chat(visitor)
    say(visitor, IN_OTHER_WORDS)
    assert FACT in last_reply(visitor)
    expect(visitor.locator(".version").last).to_contain_text("version 1")
    keep_in_all_lights(keep, visitor, "6-chat-learned")

    admin.get_by_role("tab", name="Versions").click()
    admin.get_by_label("Type the live version to roll it back").fill("1")
    admin.locator("#roll-back").click()
    expect(admin.locator("#status")).to_contain_text("version 0", timeout=30_000)
    keep_in_all_lights(keep, admin, "7-admin-rolled-back")
    start_chat(visitor)
    say(visitor, IN_OTHER_WORDS)
    assert last_reply(visitor) == wrong
    expect(visitor.locator(".version").last).to_contain_text("version 0")
