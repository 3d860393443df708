"""Signing in, signing out, and the set-up link, as plain pages that work without a script. The wall stands in front of them."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from assistant.errors import AssistantError, SetUpOverError, TooManyAttemptsError
from assistant.web.cookie import clear_cookie, read_token, set_cookie
from assistant.web.place import lead_to
from assistant.web.plain_page import Field, Form, read_form, render_plain_page
from assistant.web.routes import find_place
from assistant.web.sign_in import Session, SignIn
from assistant.web.wall import address_of
from feedback_db.errors import FeedbackError

_FRESH = timedelta(hours=1)
_MINE = "Tick it only if that was you. What is left behind nobody can open or delete here any more."
_SET_UP = "It is an admin's: it sees everything and makes the other accounts. The link works once."


class SignInPages:
    """The pages `/login` and `/set-up`, and what `/logout` answers."""

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
        ]

    async def _show_login(self, request: Request) -> Response:
        return self._render_login(request, request.query_params.get("next", "/"))

    async def _log_in(self, request: Request) -> Response:
        told = await read_form(request)
        name, then, now = told.get("name", ""), told.get("next", "/"), self._clock()
        try:
            session = await to_thread.run_sync(
                lambda: self._sign_in.open(
                    name, told.get("password", ""), address=address_of(request), taking=read_taken(request, told), now=now
                )
            )
        except TooManyAttemptsError as refused:
            answer = self._render_login(request, then, told=told, problem=str(refused), status=429)
            answer.headers["retry-after"] = str(refused.wait_s)
            return answer
        except AssistantError as refused:
            return self._render_login(request, then, told=told, problem=str(refused), status=401)
        return welcome(request, session, find_place(then), now=now)

    async def _log_out(self, request: Request) -> Response:
        self._sign_in.end(read_token(request), now=self._clock())
        answer = lead_to(request, "/login")
        clear_cookie(answer, request)
        return answer

    async def _show_set_up(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if not self._sign_in.is_set_up_token(token):
            return _refuse_set_up(request, SetUpOverError())
        return self._render_set_up(request, token)

    async def _set_up(self, request: Request) -> Response:
        told, now = await read_form(request), self._clock()
        token, name = told.get("token", ""), told.get("name", "")
        try:
            session = await to_thread.run_sync(
                lambda: self._sign_in.set_up(token, name, told.get("password", ""), taking=read_taken(request, told), now=now)
            )
        except SetUpOverError as refused:
            return _refuse_set_up(request, refused)
        except (AssistantError, FeedbackError) as refused:
            return self._render_set_up(request, token, told=told, problem=str(refused), status=400)
        return welcome(request, session, "/admin", now=now)

    def _render_login(
        self, request: Request, then: str, *, told: Mapping[str, str] | None = None, problem: str = "", status: int = 200
    ) -> HTMLResponse:
        fields = [
            Field(name="next", value=find_place(then), is_hidden=True),
            Field(name="name", label="Name", value=(told or {}).get("name", ""), purpose="username"),
            Field(name="password", label="Password", purpose="current-password"),
            *offer_conversations(self._sign_in, request, told, now=self._clock()),
        ]
        form = Form(action="/login", button="Sign in", fields=fields)
        ways = {"/": "Chat without an account"} if self._welcomes_visitors else {}
        return render_plain_page(request, "Sign in", problem=problem, form=form, ways=ways, status=status)

    def _render_set_up(
        self, request: Request, token: str, *, told: Mapping[str, str] | None = None, problem: str = "", status: int = 200
    ) -> HTMLResponse:
        fields = [
            Field(name="token", value=token, is_hidden=True),
            Field(name="name", label="Name", value=(told or {}).get("name", ""), purpose="username"),
            Field(name="password", label="Password", purpose="new-password"),
            *offer_conversations(self._sign_in, request, told, now=self._clock()),
        ]
        form = Form(action="/set-up", button="Create and sign in", fields=fields)
        return render_plain_page(request, "Create the first account", words=_SET_UP, problem=problem, form=form, status=status)


def welcome(request: Request, session: Session, then: str, *, now: datetime) -> Response:
    """Lead somebody whose stay begins to a page, with the cookie that proves it."""
    answer = lead_to(request, then)
    set_cookie(answer, request, session, now=now)
    return answer


def offer_conversations(sign_in: SignIn, request: Request, told: Mapping[str, str] | None, *, now: datetime) -> list[Field]:
    """Return the box to tick for taking along what was said in this browser without an account, if anything was.

    `told` is what was filled in before, None for a first look. Whoever signs in soon after has most likely said it himself, so that the box
    is ticked; what is older may be a stranger's, on a machine that several people use.
    """
    held = sign_in.find_holdings(read_token(request), now=now)
    if held is None:
        return []
    number = held.conversation_count
    label = "Take my conversation along" if number == 1 else f"Take my {number} conversations along"
    note = f"Held in this browser without an account{':' if number == 1 else ', the newest:'} “{held.newest_title}”. {_MINE}"
    is_ticked = "take" in told if told is not None else now - held.last_at < _FRESH
    return [Field(name="take", label=label, note=note, is_ticked=is_ticked)]


def read_taken(request: Request, told: Mapping[str, str]) -> str:
    """Return the token of the visitor whose conversations are to be taken along, "" for none: only this browser can show it."""
    return read_token(request) if "take" in told else ""


def _refuse_set_up(request: Request, refused: SetUpOverError) -> HTMLResponse:
    return render_plain_page(request, "Set-up", problem=str(refused), ways={"/login": "Sign in"}, status=403)
