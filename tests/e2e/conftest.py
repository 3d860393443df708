"""A real Chromium and a site that it looks at, over a tiny random base."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from feedback_db import people
from feedback_db.records import PersonId, Role
from tests.served import serve

if TYPE_CHECKING:
    from assistant.settings import Settings
    from assistant.web.sign_in import SignIn
    from trainer.composition import Errata

Open = Callable[..., Page]
_INSTALL = "apt-get install -y --no-install-recommends chromium fonts-dejavu-core"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; without it the tests are skipped on a laptop, and in CI it is installed."""
    path = shutil.which("chromium")
    if path is None and os.environ.get("CI") == "true":
        subprocess.run("apt-get update && " + _INSTALL, shell=True, check=True)
        path = shutil.which("chromium")
    if path is None:
        pytest.skip(f"Expected Chromium. Found none. Install it: `{_INSTALL}`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site that is being served, and what is behind it."""

    address: str
    errata: "Errata"
    sign_in: "SignIn"

    def add_account(self, name: str, role: Role) -> str:
        """Add an account unless there is one of this name; return the token of a new stay of its person."""
        with self.errata.db.write() as tx:
            known = people.find_account(tx, name)
            if known is None:
                person = people.add_account(tx, PersonId(uuid.uuid4().hex), name=name, role=role, password_hash="x", now=datetime.now(UTC))
            else:
                person = known[0]
            return self.sign_in.open_account(tx, person, now=datetime.now(UTC)).token


@contextmanager
def open_site(settings: "Settings", *, ticks: bool = False) -> Iterator[Site]:
    """Serve the very site that `make run` serves; with `ticks` it trains, too."""
    from errata import compose_site
    from trainer.composition import open_errata
    from trainer.supervision.ticking import Ticking

    with ExitStack() as stack:
        errata = stack.enter_context(open_errata(settings))
        if ticks:
            stack.enter_context(Ticking([errata.supervisor.tick, lambda now: errata.hot_swap.sync_once(now=now)], every_s=0.5))
        site = compose_site(settings, errata)
        yield Site(address=stack.enter_context(serve(site.app)), errata=errata, sign_in=site.sign_in)


@pytest.fixture(scope="module")
def site(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose replies mean nothing."""
    from assistant.settings import Settings

    settings = Settings(
        base=str(tiny_base),
        device="cpu",
        data_folder=tmp_path_factory.mktemp("data"),
        max_reply_tokens=60,
        example_questions=("How long?",),
    )
    with open_site(settings) as opened:
        yield opened


@pytest.fixture
def open_page(chromium: Browser, site: Site) -> Iterator[Open]:
    """Open the site as a new visitor or as somebody with an account, or in the browser of another page (see `open_pages`)."""
    with open_pages(chromium, site) as opened:
        yield opened


@contextmanager
def open_pages(chromium: Browser, site: Site) -> Iterator[Open]:
    """Let pages of a site be opened; one that throws or loads from elsewhere fails the test at the end."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_page(
        path: str = "/", *, dark: bool = False, width: int = 1280, beside: Page | None = None, who: tuple[str, Role] | None = None
    ) -> Page:
        if beside is None:
            scheme = "dark" if dark else "light"
            contexts.append(chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme))
        context = contexts[-1] if beside is None else beside.context
        if who is not None:
            context.add_cookies([{"name": "errata", "value": site.add_account(*who), "url": site.address}])
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: problems.append(asked.url) if not asked.url.startswith((site.address, "data:", "blob:")) else None)
        page.goto(f"{site.address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def check(page: Page, state: str) -> None:
    """Fail where axe finds something, or where a page is wider than its screen."""
    toasts = page.locator(".toast-body").all_inner_texts()
    assert toasts == [], f"{state}: {toasts}"
    found = Axe().run(page)
    assert found.violations_count == 0, f"{state}: {found.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keep a picture of a page, where `--screenshots FOLDER` asks for it."""
    folder = request.config.getoption("--screenshots")

    def keep(page: Page, name: str) -> None:
        if folder is not None:
            page.screenshot(path=Path(folder) / f"{name}.png")

    return keep


def wait_for(page: Page, is_true: str) -> None:
    """Wait until an expression of JavaScript is true."""
    page.wait_for_function(is_true, timeout=20_000)
