"""Choosing another password, as a plain page: by the present one, or by the link that an admin has made. The wall stands in front."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from assistant.errors import AssistantError, PasswordLinkOverError, TooManyAttemptsError, WrongPasswordError
from assistant.web.cookie import read_token
from assistant.web.place import lead_to
from assistant.web.plain_page import Field, Form, read_form, render_plain_page
from assistant.web.sign_in import Session, SignIn
from assistant.web.sign_in_pages import offer_conversations, read_taken, welcome
from assistant.web.wall import address_of
from feedback_db.records import Person, PersonKind

_STATUSES = {TooManyAttemptsError: 429, PasswordLinkOverError: 403, WrongPasswordError: 403}
_EVERYWHERE = "It holds at once, and signs you out everywhere else."
_CHANGED = "Your new password holds from now on. You are signed in here, and signed out everywhere else."


class PasswordPages:
    """The page `/password`; with `token` it is that of a link."""

    def __init__(self, sign_in: SignIn, *, clock: Callable[[], datetime]) -> None:
        self._sign_in, self._clock = sign_in, clock

    def list_routes(self) -> list[Route]:
        """Return the routes, to be put before those of the pages."""
        return [Route("/password", self._show, methods=["GET"]), Route("/password", self._change, methods=["POST"])]

    async def _show(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None:
            return self._render_link(request, token)
        person = self._find_account(request)
        if person is None:
            return lead_to(request, "/login?next=/password")
        if "changed" in request.query_params:
            return render_plain_page(request, "Password changed", words=_CHANGED, ways={"/": "Go on to the chat"})
        return _render_change(request, person)

    async def _change(self, request: Request) -> Response:
        told, now, address = await read_form(request), self._clock(), address_of(request)
        person, wanted = self._find_account(request), told.get("password", "")
        begin: Callable[[], Session]
        show: Callable[[AssistantError], HTMLResponse]
        if "token" in told:
            taking = read_taken(request, told)
            begin = partial(self._sign_in.choose_password, told["token"], wanted, address=address, taking=taking, now=now)
            show = partial(self._render_link, request, told["token"], told)
        elif person is not None:
            begin = partial(self._sign_in.change_password, person, told.get("present", ""), wanted, address=address, now=now)
            show = partial(_render_change, request, person)
        else:
            return lead_to(request, "/login?next=/password")
        try:
            return welcome(request, await to_thread.run_sync(begin), "/password?changed", now=now)
        except AssistantError as refused:
            answer = show(refused)
            if isinstance(refused, TooManyAttemptsError):
                answer.headers["retry-after"] = str(refused.wait_s)
            return answer

    def _find_account(self, request: Request) -> Person | None:
        person = self._sign_in.find(read_token(request), now=self._clock())
        return person if person is not None and person.kind is PersonKind.ACCOUNT else None

    def _render_link(
        self, request: Request, token: str, told: Mapping[str, str] | None = None, refused: AssistantError | None = None
    ) -> HTMLResponse:
        person = self._sign_in.find_by_link(token, now=self._clock())
        if person is None:
            refused = refused or PasswordLinkOverError()
            return render_plain_page(
                request, "Choose a password", problem=str(refused), ways={"/login": "Sign in"}, status=_status(refused)
            )
        fields = [
            Field(name="token", value=token, is_hidden=True),
            Field(name="name", value=person.name, purpose="username", is_hidden=True),
            Field(name="password", label="New password", purpose="new-password"),
            *offer_conversations(self._sign_in, request, told, now=self._clock()),
        ]
        form = Form(action="/password", button="Save and sign in", fields=fields)
        return _render(request, f"New password for {person.name}", "The link works once.", form, refused)


def _render_change(request: Request, person: Person, refused: AssistantError | None = None) -> HTMLResponse:
    fields = [
        Field(name="name", value=person.name, purpose="username", is_hidden=True),
        Field(name="present", label="Present password", purpose="current-password"),
        Field(name="password", label="New password", purpose="new-password"),
    ]
    form = Form(action="/password", button="Change it", fields=fields)
    return _render(request, "Change your password", _EVERYWHERE, form, refused)


def _render(request: Request, title: str, words: str, form: Form, refused: AssistantError | None) -> HTMLResponse:
    problem = "" if refused is None else str(refused)
    return render_plain_page(
        request, title, words=words, problem=problem, form=form, ways={"/": "Back to the chat"}, status=_status(refused)
    )


def _status(refused: AssistantError | None) -> int:
    return 200 if refused is None else _STATUSES.get(type(refused), 400)
