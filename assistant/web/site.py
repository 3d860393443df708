"""The pages and the wall in front of them, as one ASGI application."""

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp

from assistant.web.password_pages import PasswordPages
from assistant.web.place import lead_to
from assistant.web.sign_in import SignIn
from assistant.web.sign_in_pages import SignInPages
from assistant.web.theme import make_theme, read_head, read_style
from assistant.web.wall import Wall

_AT_ONCE = 64  # functions of a kind that run at once
_MOST_WAITING = 512


def build_site(
    pages: Mapping[str, gr.Blocks],
    sign_in: SignIn,
    *,
    welcomes_visitors: bool,
    clock: Callable[[], datetime],
    hosts: Set[str] | None = None,
    api: ASGIApp | None = None,
    operating: Sequence[BaseRoute] = (),
) -> Wall:
    """Return the application; `pages` are by their path, the most special first, the one at "/" last; `hosts` as the wall knows them.

    `api` is the one behind its door, `operating` are routes for whoever runs the machine; the wall must know them.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.append(Mount("/v1", api or Router()))  # the wall lets all of it pass, so no page may ever see it
    app.router.routes.extend(operating)
    app.router.routes.extend(SignInPages(sign_in, welcomes_visitors=welcomes_visitors, clock=clock).list_routes())
    app.router.routes.extend(PasswordPages(sign_in, clock=clock).list_routes())
    app.router.routes.extend(_redirect(path) for path in pages if path != "/")
    for path, page in pages.items():
        page.queue(default_concurrency_limit=_AT_ONCE, max_size=_MOST_WAITING, api_open=False)
        app = gr.mount_gradio_app(
            app,
            page,
            path,
            show_error=False,
            footer_links=[],
            run_history=False,
            mcp_server=False,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            theme=make_theme(),
            css=read_style(),
            head=read_head(),
        )
    return Wall(app, sign_in, welcomes_visitors=welcomes_visitors, clock=clock, hosts=hosts)


def _redirect(path: str) -> Route:
    """Lead from `/review` to `/review/`: a mount has only what lies below it, and the page at "/" would take the rest for its own."""

    def lead(request: Request) -> Response:
        return lead_to(request, f"{path}/", 308)

    return Route(path, lead)
