"""A real Chromium and a site that it looks at, over a tiny random base."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

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


@contextmanager
def serve(site: object) -> Iterator[str]:
    """Serve an ASGI application on a free port of this machine; yield its address."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(site, log_level="warning", timeout_graceful_shutdown=1)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()


@pytest.fixture(scope="module")
def address(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site whose replies mean nothing."""
    from app import compose_site  # the very site that `make run` serves
    from assistant.settings import Settings
    from trainer.composition import open_errata

    settings = Settings(
        base=str(tiny_base),
        device="cpu",
        data_folder=tmp_path_factory.mktemp("data"),
        max_reply_tokens=60,
        example_questions=("How long?",),
    )
    with ExitStack() as stack:
        errata = stack.enter_context(open_errata(settings))
        yield stack.enter_context(serve(compose_site(settings, errata)[1]))


@pytest.fixture
def open_page(chromium: Browser, address: str) -> Iterator[Open]:
    """Open the site as a new visitor, or in the browser of another page; a page that throws or loads from elsewhere fails the test."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_page(path: str = "/", *, dark: bool = False, width: int = 1280, beside: Page | None = None) -> Page:
        if beside is None:
            scheme = "dark" if dark else "light"
            contexts.append(chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme))
        page = (contexts[-1] if beside is None else beside.context).new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: problems.append(asked.url) if not asked.url.startswith((address, "data:", "blob:")) else None)
        page.goto(f"{address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def wait_for(page: Page, is_true: str) -> None:
    """Wait until an expression of JavaScript is true."""
    page.wait_for_function(is_true, timeout=20_000)
