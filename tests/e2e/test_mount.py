"""Errata inside of a host application, at a path: pages and API work there, beside what is the host's own, and end with it."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from openai import OpenAI
from playwright.sync_api import Browser, Page, expect

import errata
from assistant.settings import Settings
from errata import Site, mount_errata
from feedback_db.api_keys import Scope
from feedback_db.records import PersonId
from tests.served import serve

pytestmark = pytest.mark.slow
_PASSWORD = "long enough to be one"


class Host:
    """A host application with a page of its own, and Errata at `/support`."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app = FastAPI()
        self.app.get("/hello")(lambda: "hello")
        self.sites: list[Site] = []
        opened = errata.compose_site

        def compose(*args: Any) -> Site:
            self.sites.append(opened(*args))
            return self.sites[-1]

        monkeypatch.setattr(errata, "compose_site", compose)
        mount_errata(self.app, "/support/", settings)


@pytest.fixture
def host(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    settings = Settings(base=str(tiny_base), device="cpu", data_folder=tmp_path, max_reply_tokens=20, anonymous_chat=True)
    return Host(settings, monkeypatch)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def set_up(page: Page, address: str, site: Site) -> None:
    """Create the first account by the link that the log tells."""
    page.goto(f"{address}/support/set-up?token={site.sign_in.find_set_up_token()}")
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill(_PASSWORD)
    page.get_by_role("button", name="Create and sign in").click()


def test_chat_review_admin_and_api_work_under_the_path(host: Host, page: Page, caplog: pytest.LogCaptureFixture) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("response", lambda answer: problems.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    with caplog.at_level(logging.WARNING, "errata"), serve(host.app) as address:
        assert httpx.get(f"{address}/hello").json() == "hello"
        site = host.sites[0]
        assert f"/support/set-up?token={site.sign_in.find_set_up_token()}" in caplog.text
        set_up(page, address, site)
        expect(page).to_have_url(f"{address}/support/admin/")
        expect(page.get_by_role("heading", name="Admin").first).to_be_visible()
        page.get_by_role("link", name="Review").click()
        expect(page).to_have_url(f"{address}/support/review/")
        page.get_by_role("link", name="Chat").click()
        expect(page).to_have_url(f"{address}/support/")
        box = page.get_by_role("textbox", name="Message")
        box.fill("hello there")
        box.press("Enter")
        expect(page.get_by_role("button", name="Answer again")).to_be_visible()
        page.wait_for_function(
            "document.querySelectorAll('[data-do=good], [data-do=rate]').length > 0 || document.querySelector('#log .reply')"
        )
        (cookie,) = page.context.cookies()
        assert cookie["path"] == "/support"
        key = site.keys.make("shop", {Scope.CHAT, Scope.ADMIN}, actor=find_admin(site), now=datetime.now(UTC))[1]
        with OpenAI(base_url=f"{address}/support/v1", api_key=key, max_retries=0) as client:
            said = client.chat.completions.create(model="support", messages=[{"role": "user", "content": "hi"}])
            assert said.model == "support@0"
        assert httpx.get(f"{address}/support/v1/admin/status", headers={"authorization": f"Bearer {key}"}).json()["served"] == 0
        assert httpx.get(f"{address}/support/readyz").json()["status"] == "ok"
        page.goto(f"{address}/support/admin")
        page.get_by_role("tab", name="Keys").click()
        page.get_by_label("What the key is for").fill("till")
        page.get_by_role("button", name="Make a key").click()
        expect(page.locator("#new-key .kept pre")).to_contain_text(f"curl {address}/support/v1/chat/completions")
        page.get_by_role("link", name="What programs can ask for").click()
        expect(page).to_have_url(f"{address}/support/admin/api/")
        expect(page.get_by_text(f"{address}/support/v1", exact=True)).to_be_visible()
        page.get_by_role("link", name="admin page").click()
        expect(page).to_have_url(f"{address}/support/admin/")
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{address}/support/login")
        page.goto(f"{address}/support/review/")
        expect(page).to_have_url(f"{address}/support/login?next=/review/")
        page.get_by_label("Name").fill("Ada")
        page.get_by_label("Password").fill(_PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{address}/support/review/")
    assert problems == []


def find_admin(site: Site) -> PersonId:
    row = site.errata.db.read().execute("SELECT id FROM people WHERE role = 'admin'").fetchone()
    return PersonId(row["id"])


def test_the_wall_stands_inside_the_mount(host: Host) -> None:
    with serve(host.app) as address:
        for path, status in {
            "/support/admin/": 303,
            "/support/admin/api/": 303,
            "/support/admin/api/openapi.json": 401,
            "/support/secret": 404,
            "/support/v1/models": 401,
            "/support/gradio_api/info": 404,
        }.items():
            assert httpx.get(f"{address}{path}").status_code == status, path
        found = httpx.get(f"{address}/support/admin/", headers={"accept": "text/html"})
        assert found.headers["location"] == "/support/login?next=/admin/"
        assert 'href="/support/"' in httpx.get(f"{address}/support/nothing/here", headers={"accept": "text/html"}).text


def test_stopping_the_host_stops_the_engine_and_the_schedule_and_it_starts_again(host: Host) -> None:
    before = {thread.name for thread in threading.enumerate()}
    for number in range(2):
        with serve(host.app) as address:
            assert httpx.get(f"{address}/support/readyz").status_code == 200
            assert "engine" in {thread.name for thread in threading.enumerate()}
        assert len(host.sites) == number + 1
        left = {thread.name for thread in threading.enumerate()} - before
        assert not {name for name in left if name == "engine" or name.startswith(("APScheduler", "answer"))}, left
    assert not (host.sites[0].errata.settings.data_folder / "errata.db-wal").exists()


@pytest.mark.parametrize("path", ["", "/", "support"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="such as '/support'"):
        mount_errata(FastAPI(), path)
