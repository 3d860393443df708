"""Signing in, signing out, and the set-up link, as plain pages that work without a script. The wall stands in front of them."""

from collections.abc import Callable
from datetime import datetime

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from assistant.errors import AssistantError, SetUpOverError, TooManyAttemptsError
from assistant.web.cookie import clear_cookie, read_token, set_cookie
from assistant.web.plain_page import Field, Form, read_form, render_plain_page
from assistant.web.routes import find_place
from assistant.web.sign_in import Session, SignIn
from assistant.web.wall import address_of
from feedback_db.errors import FeedbackError
from feedback_db.records import PersonKind

_LEFT_BEHIND = (
    "Conversations held here without an account do not come along: once you sign in, nobody can open or delete them in this browser. "
    "Delete what should not stay first."
)
_SET_UP = "It is an admin's: it sees everything and makes the other accounts. The link works once."


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
        told = await read_form(request)
        name, then, now = told.get("name", ""), told.get("next", "/"), self._clock()
        try:
            session = await to_thread.run_sync(
                lambda: self._sign_in.open(name, told.get("password", ""), address=address_of(request), now=now)
            )
        except TooManyAttemptsError as refused:
            answer = self._render_login(then, name=name, problem=str(refused), status=429)
            answer.headers["retry-after"] = str(refused.wait_s)
            return answer
        except AssistantError as refused:
            return self._render_login(then, name=name, problem=str(refused), status=401)
        return welcome(request, session, find_place(then), now=now)

    async def _log_out(self, request: Request) -> Response:
        self._sign_in.end(read_token(request), now=self._clock())
        answer = RedirectResponse("/login", 303)
        clear_cookie(answer, request)
        return answer

    async def _show_set_up(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if not self._sign_in.is_set_up_token(token):
            return render_plain_page("Set-up", problem=str(SetUpOverError()), status=403)
        return _render_set_up(token)

    async def _set_up(self, request: Request) -> Response:
        told, now = await read_form(request), self._clock()
        token, name = told.get("token", ""), told.get("name", "")
        try:
            session = await to_thread.run_sync(lambda: self._sign_in.set_up(token, name, told.get("password", ""), now=now))
        except SetUpOverError as refused:
            return render_plain_page("Set-up", problem=str(refused), status=403)
        except (AssistantError, FeedbackError) as refused:
            return _render_set_up(token, name=name, problem=str(refused), status=400)
        return welcome(request, session, "/admin", now=now)

    def _render_login(self, then: str, *, name: str = "", problem: str = "", words: str = "", status: int = 200) -> HTMLResponse:
        fields = [
            Field(name="next", value=find_place(then), is_hidden=True),
            Field(name="name", label="Name", value=name, purpose="username"),
            Field(name="password", label="Password", purpose="current-password"),
        ]
        form = Form(action="/login", button="Sign in", fields=fields)
        ways = {"/": "Chat without an account"} if self._welcomes_visitors else {}
        return render_plain_page("Sign in", words=words, problem=problem, form=form, ways=ways, status=status)


def welcome(request: Request, session: Session, then: str, *, now: datetime) -> Response:
    """Lead somebody whose stay begins to a page, with the cookie that proves it."""
    answer = RedirectResponse(then, 303)
    set_cookie(answer, request, session, now=now)
    return answer


def _render_set_up(token: str, *, name: str = "", problem: str = "", status: int = 200) -> HTMLResponse:
    fields = [
        Field(name="token", value=token, is_hidden=True),
        Field(name="name", label="Name", value=name, purpose="username"),
        Field(name="password", label="Password", purpose="new-password"),
    ]
    form = Form(action="/set-up", button="Create and sign in", fields=fields)
    return render_plain_page("Create the first account", words=_SET_UP, problem=problem, form=form, status=status)


async def _tell_health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})
