"""Signing in, signing out, and the set-up link, as plain pages that work without a script. The wall stands in front of them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from anyio import to_thread
from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from assistant.errors import AssistantError, SetUpOverError, TooManyAttemptsError
from assistant.web.cookie import clear_cookie, read_token, set_cookie
from assistant.web.passwords import LEAST_CHARS
from assistant.web.routes import RouteKind, find_route
from assistant.web.sign_in import Session, SignIn
from assistant.web.wall import address_of
from feedback_db.errors import FeedbackError
from feedback_db.records import PersonKind

_LEFT_BEHIND = (
    "Conversations held here without an account do not come along: once you sign in, nobody can open or delete them in this browser. "
    "Delete what should not stay first."
)
_template = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("sign_in.html.jinja")


class SignInPages:
    """The pages `/login` and `/set-up`, and what `/logout` and `/healthz` answer."""

    def __init__(self, sign_in: SignIn, *, welcomes_visitors: bool, clock: Callable[[], datetime]) -> None:
        self._sign_in, self._welcomes_visitors, self._clock = sign_in, welcomes_visitors, clock

    def list_routes(self) -> list[Route]:
        """Return the routes, to be put before those of the pages."""
        return [
            Route("/login", self._show_login, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
            Route("/set-up", self._show_set_up, methods=["GET"]),
            Route("/set-up", self._set_up, methods=["POST"]),
            Route("/healthz", _tell_health, methods=["GET"]),
        ]

    async def _show_login(self, request: Request) -> Response:
        person = self._sign_in.find(read_token(request), now=self._clock())
        words = _LEFT_BEHIND if person is not None and person.kind is PersonKind.VISITOR else ""
        return self._render_login(request.query_params.get("next", "/"), words=words)

    async def _log_in(self, request: Request) -> Response:
        told = await _read_form(request)
        name, then, now = told.get("name", ""), told.get("next", "/"), self._clock()
        try:
            session = await to_thread.run_sync(
                lambda: self._sign_in.open(name, told.get("password", ""), address=address_of(request), now=now)
            )
        except TooManyAttemptsError as refused:
            answer = self._render_login(then, name=name, problem=str(refused), status=429)
            answer.headers["retry-after"] = str(int(refused.wait.total_seconds()) + 1)
            return answer
        except AssistantError as refused:
            return self._render_login(then, name=name, problem=str(refused), status=401)
        return self._welcome(request, session, then, now)

    async def _log_out(self, request: Request) -> Response:
        self._sign_in.end(read_token(request), now=self._clock())
        answer = RedirectResponse("/login", 303)
        clear_cookie(answer, request)
        return answer

    async def _show_set_up(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if not self._sign_in.is_set_up_token(token):
            return _render(title="Set-up", problem=str(SetUpOverError()), status=403)
        return _render_set_up(token)

    async def _set_up(self, request: Request) -> Response:
        told, now = await _read_form(request), self._clock()
        token, name = told.get("token", ""), told.get("name", "")
        try:
            session = await to_thread.run_sync(lambda: self._sign_in.set_up(token, name, told.get("password", ""), now=now))
        except SetUpOverError as refused:
            return _render(title="Set-up", problem=str(refused), status=403)
        except (AssistantError, FeedbackError) as refused:
            return _render_set_up(token, name=name, problem=str(refused), status=400)
        return self._welcome(request, session, "/admin", now)

    def _welcome(self, request: Request, session: Session, then: str, now: datetime) -> Response:
        answer = RedirectResponse(_local(then), 303)
        set_cookie(answer, request, session, now=now)
        return answer

    def _render_login(self, then: str, *, name: str = "", problem: str = "", words: str = "", status: int = 200) -> HTMLResponse:
        return _render(
            title="Sign in",
            words=words,
            action="/login",
            hidden={"next": _local(then)},
            button="Sign in",
            name=name,
            problem=problem,
            has_chat=self._welcomes_visitors,
            status=status,
        )


def _render_set_up(token: str, *, name: str = "", problem: str = "", status: int = 200) -> HTMLResponse:
    return _render(
        title="Create the first account",
        words="It is an admin's: it sees everything and makes the other accounts. The link works once.",
        action="/set-up",
        hidden={"token": token},
        button="Create and sign in",
        name=name,
        problem=problem,
        is_new=True,
        status=status,
    )


def _render(*, status: int = 200, **told: object) -> HTMLResponse:
    return HTMLResponse(_template.render(least_chars=LEAST_CHARS, **told), status, {"cache-control": "no-store"})


def _local(path: str) -> str:
    """Return a path if it is that of a page here, else the chat page's: nobody is sent to another site after signing in."""
    route = find_route("GET", path)
    return path if route is not None and route.kind is RouteKind.PAGE else "/"


async def _read_form(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=8) as form:
        return {key: value for key, value in form.items() if isinstance(value, str)}


async def _tell_health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})
