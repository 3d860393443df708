"""Errata as a part of something: all of it behind one ASGI application, alone or, by `mount_errata`, at a path of a FastAPI host."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.responses import PlainTextResponse

from assistant.settings import Settings, read_settings

if TYPE_CHECKING:  # torch takes seconds to import: a host that only mounts must not wait for it
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

    from assistant.api.keys import KeyRing
    from assistant.web.sign_in import SignIn
    from assistant.web.wall import Wall
    from trainer.composition import Errata

_TICK_S = 2.0
_log = logging.getLogger("errata")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Errata as it runs: what answers requests, and what whoever runs it needs."""

    app: "Wall"
    errata: "Errata"
    sign_in: "SignIn"
    keys: "KeyRing"


@contextmanager
def open_site(settings: Settings, *, ends_trainer: bool = False) -> Iterator[Site]:
    """Load the base, serve what is deployed, keep the schedule; at the end a run under way goes on, and the next start adopts it.

    With `ends_trainer` it is saved and ended, and the next start resumes it.

    Raises:
        AssistantError, FeedbackError: the base cannot be loaded, or the memory not be opened.
    """
    from trainer.composition import open_errata
    from trainer.supervision.ticking import Ticking

    with ExitStack() as stack:
        errata = stack.enter_context(open_errata(settings, ends_trainer=ends_trainer))
        site = compose_site(settings, errata)
        stack.enter_context(Ticking([errata.supervisor.tick, lambda now: errata.hot_swap.sync_once(now=now)], every_s=_TICK_S))
        yield site


def mount_errata(host: "FastAPI", path: str, settings: Settings | None = None) -> None:
    """Add all of Errata to a host application at a path, such as "/support"; it starts and stops with the host.

    `settings` None are those of the environment. While the base is loaded, the host does not begin to serve.

    Raises:
        ValueError: the path is none, or the host's root.
    """
    if not path.startswith("/") or path.rstrip("/") == "":
        raise ValueError(f"expected a path such as '/support', found {path!r}")
    path = path.rstrip("/")
    place = _Place()
    host.mount(path, place)
    around = host.router.lifespan_context

    @asynccontextmanager
    async def run_with_host(app: "FastAPI") -> AsyncIterator[Any]:
        async with around(app) as state:
            with ExitStack() as stack:
                # Nobody here knows who reaches the host, so nobody is let in as if only this machine did.
                chosen = (settings or read_settings()).model_copy(update={"host": "0.0.0.0"})  # noqa: S104  nothing listens
                site = await to_thread.run_sync(lambda: stack.enter_context(open_site(chosen, ends_trainer=True)))
                token = site.sign_in.find_set_up_token()
                if token is not None:
                    _log.warning("Errata has no account yet. Create the first one at %s/set-up?token=%s", path, token)
                async with site.app.run_lifespan():
                    place.app = site.app
                    try:
                        yield state
                    finally:
                        place.app = None
                await to_thread.run_sync(stack.close)

    host.router.lifespan_context = run_with_host


class _Place:
    """Stands where Errata is mounted, also while it is not running."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on."""
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("Errata is not running. Try again in a moment.", 503, {"retry-after": "5"})(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1013})


def compose_site(settings: Settings, errata: "Errata") -> Site:
    """Return pages and API, each behind what guards it."""
    from assistant.api.admin_routes import AdminRoutes
    from assistant.api.chat_routes import list_chat_routes
    from assistant.api.feedback import ApiFeedback
    from assistant.api.feedback_routes import list_feedback_routes
    from assistant.api.keys import KeyRing
    from assistant.api.metrics import Metrics
    from assistant.api.probes import Probes
    from assistant.api.site import build_api
    from assistant.web.admin_page import AdminPage
    from assistant.web.api_pages import ApiPages
    from assistant.web.chat_page import ChatPage
    from assistant.web.review_page import ReviewPage
    from assistant.web.sign_in import SignIn
    from assistant.web.site import build_site
    from feedback_db.recipe import read_recipe
    from trainer.operations import Operations
    from trainer.review_aids import MemoryAids

    def clock() -> datetime:
        return datetime.now(UTC)

    sign_in = SignIn(errata.db, errata.audit)
    keys = KeyRing(errata.db, errata.audit, started_at=clock())
    operations, recipe = Operations(errata), read_recipe(settings.recipe)
    mounts = ("/admin", "/review", "/")
    admin_page = AdminPage(
        errata.db,
        errata.audit,
        sign_in,
        operations,
        keys,
        recipe=recipe,
        gpu=str(errata.live.base.device) if errata.live.base.device.type == "cuda" else None,
        mounts=mounts,
        clock=clock,
    )
    review_page = ReviewPage(
        errata.db,
        errata.audit,
        sign_in,
        MemoryAids(errata.db),
        read_version=lambda: errata.live.status().version,
        approvals_required=settings.approvals_required,
        mounts=mounts,
        clock=clock,
    )
    chat_page = ChatPage(
        errata.db,
        errata.audit,
        errata.live,
        errata.answering,
        sign_in,
        title=settings.title,
        examples=settings.example_questions,
        mounts=mounts,
        clock=clock,
    )
    pages = {"/admin": admin_page.build(), "/review": review_page.build(), "/": chat_page.build()}
    routers = [
        list_chat_routes(errata.completions, clock=clock),
        list_feedback_routes(ApiFeedback(errata.db), clock=clock),
        AdminRoutes(errata.db, keys, operations, default_recipe=recipe, clock=clock).router,
    ]
    described, api = build_api(routers, keys, origins=settings.api_origins, clock=clock)
    app = build_site(
        pages,
        sign_in,
        welcomes_visitors=settings.welcomes_visitors,
        hosts=settings.known_hosts,
        api=api,
        operating=[
            *Probes(errata.live, Metrics(errata.db, errata.live), keys, trusts_this_machine=settings.is_alone, clock=clock).list_routes(),
            *ApiPages(described).list_routes(),
        ],
        clock=clock,
    )
    return Site(app=app, errata=errata, sign_in=sign_in, keys=keys)
