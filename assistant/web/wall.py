"""The wall in front of pages and API: an ASGI application that lets through what is allowed, to whom it is allowed, and nothing else.

Default deny: a route that nobody has listed does not exist. It knows Gradio's queue just well enough that nobody reads, stops or speaks
in somebody else's stream. Who may do what inside a page is checked once more by every handler.
"""

import json
from collections.abc import Callable, Set
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from assistant.bounded_body import BodyTooLongError, receive_bounded
from assistant.plain_text import tell_wait
from assistant.web.bindings import Bindings
from assistant.web.cookie import read_token, set_cookie
from assistant.web.place import lead_to, note_place
from assistant.web.refusals import RefusedError, answer_refusal
from assistant.web.routes import Route, RouteKind, find_route, is_for_programs
from assistant.web.sign_in import Session, SignIn
from assistant.web.throttle import Throttle
from feedback_db.records import Person, PersonKind, Role

MOST_BODY_BYTES = 64 * 1024
_MOST_EVENTS, _EVENTS_WITHIN = 40, timedelta(seconds=10)
_MOST_NEW_VISITORS, _VISITORS_WITHIN = 60, timedelta(minutes=10)
_MOST_NAME_CHARS = 64
_LOOK_AGAIN_AFTER = timedelta(seconds=1)
_TO_CHAT = {"/": "Go to the chat"}
_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),  # Gradio needs inline and eval, so this keeps other hosts out and no more
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "x-accel-buffering": "no",  # or a proxy holds a stream back until it is over
}


class Wall:
    """Stands in front of `app`; puts the person into the request's state. `welcomes_visitors` lets people chat without an account.

    `hosts` are the names by which it may be found, None: by any.
    """

    def __init__(
        self, app: Starlette, sign_in: SignIn, *, welcomes_visitors: bool, clock: Callable[[], datetime], hosts: Set[str] | None = None
    ) -> None:
        self._app, self._sign_in, self._welcomes_visitors, self._clock, self._hosts = app, sign_in, welcomes_visitors, clock, hosts
        self._streams = Bindings()
        self._events = Throttle(_MOST_EVENTS, _EVENTS_WITHIN)
        self._new_visitors = Throttle(_MOST_NEW_VISITORS, _VISITORS_WITHIN)

    def run_lifespan(self) -> AbstractAsyncContextManager[object]:
        """Let what stands behind the wall live as long as the block runs, where no server does: inside of a host application."""
        return self._app.router.lifespan_context(self._app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            path = note_place(scope)
            if is_for_programs(path):  # by a key, and by nothing that a browser sends by itself
                await self._app(scope, receive, _harden(send, keeps_cors=True))
                return
            send = _harden(send)
            try:
                await self._let_through(Request(scope, receive), path, send)
            except RefusedError as refused:
                await answer_refusal(Request(scope), refused)(scope, receive, send)
        else:  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})

    async def _let_through(self, request: Request, path: str, send: Send) -> None:
        if self._hosts is not None and (request.url.hostname or "").lower() not in self._hosts:
            raise RefusedError(421, "Nothing is served under this name. If it is yours, add it to ERRATA_PUBLIC_HOSTS.")
        route = find_route(request.method, path)
        if route is None:
            raise RefusedError(404, "There is nothing at this address. Check it, or go on from the chat.", ways=_TO_CHAT)
        _check_origin(request, route)
        receive, body = await _receive(request)
        now = self._clock()
        token = read_token(request)
        person = self._sign_in.find(token, now=now) if token else None
        opened: Session | None = None
        is_first_look = person is None and route.kind is RouteKind.PAGE and request.method == "GET"
        if is_first_look and route.role is Role.END_USER and self._welcomes_visitors:
            opened = await self._welcome(request, now)
            person = opened.person
        if route.role is not None and not self._may_enter(person, route.role):
            await _lead_to_sign_in(request, path, route, person)(request.scope, receive, send)
            return
        if person is not None:
            request.scope.setdefault("state", {})["person"] = person
            send = self._check_queue(request, route, body, person, now, send)
            if route.kind is RouteKind.STREAM:
                receive, send = self._end_with_session(token, now, receive, send)
        await self._app(request.scope, receive, send if opened is None else _with_cookie(send, request, opened, now))

    def _end_with_session(self, token: str, now: datetime, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Break a stream off, as if the browser had gone, once its session is over: somebody signed out or disabled is out at once."""
        checked_at, is_over = now, False

        async def send_while_signed_in(message: Message) -> None:
            nonlocal checked_at, is_over
            now = self._clock()
            if not is_over and now - checked_at >= _LOOK_AGAIN_AFTER:
                checked_at, is_over = now, self._sign_in.find(token, now=now) is None
                if is_over:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            if not is_over:
                await send(message)

        async def receive_while_signed_in() -> Message:
            return {"type": "http.disconnect"} if is_over else await receive()

        return receive_while_signed_in, send_while_signed_in

    def _may_enter(self, person: Person | None, role: Role) -> bool:
        if person is None or (person.kind is PersonKind.VISITOR and not self._welcomes_visitors):
            return False
        return person.role.includes(role)

    async def _welcome(self, request: Request, now: datetime) -> Session:
        address = address_of(request)
        wait = self._new_visitors.find_wait(address, now=now)
        if wait:
            sentence = f"Too many new visitors come from your address. Try again in {tell_wait(wait)}, or sign in."
            raise RefusedError(429, sentence, retry_after=wait, ways={"/": "Try again", "/login": "Sign in"})
        self._new_visitors.count(address, now=now)
        return await to_thread.run_sync(lambda: self._sign_in.open_visitor(now=now))

    def _check_queue(self, request: Request, route: Route, body: bytes, person: Person, now: datetime, send: Send) -> Send:
        """Let somebody use only streams of his own, and events only so often; learn the names of new events from the answer.

        A stream is a person's, not a session's: his other tabs go on when one of them changes his password.
        """
        if route.kind is RouteKind.STREAM:
            self._check_owner(route, "stream", request.query_params.get("session_hash"), person, now)
        elif route.kind is RouteKind.CANCEL:
            told = _read_names(body, "session_hash", "event_id")
            self._check_owner(route, "stream", told["session_hash"], person, now)
            self._check_owner(route, "event", told["event_id"], person, now)
        elif route.kind is RouteKind.JOIN:
            self._bound_events(person, now)
            name = _read_names(body, "session_hash")["session_hash"]
            if not self._streams.claim(_join_name(route, "stream", name), person.id, now=now):
                raise RefusedError(403, "This stream is somebody else's. Reload the page.")
            return self._learn_event(send, route, person, now)
        return send

    def _check_owner(self, route: Route, what: str, name: str | None, person: Person, now: datetime) -> None:
        if name is None or not self._streams.is_owner(_join_name(route, what, name), person.id, now=now):
            raise RefusedError(403, f"This {what} is not yours. Reload the page.")

    def _bound_events(self, person: Person, now: datetime) -> None:
        wait = self._events.find_wait(person.id, now=now)
        if wait:
            raise RefusedError(429, "That was too much at once. Please wait a moment.", retry_after=wait)
        self._events.count(person.id, now=now)

    def _learn_event(self, send: Send, route: Route, person: Person, now: datetime) -> Send:
        """Bind the event that the answer names to whoever asked for it."""
        answer = bytearray()

        async def learn(message: Message) -> None:
            if message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    event = _find_event(bytes(answer))
                    if event is not None:
                        self._streams.claim(_join_name(route, "event", event), person.id, now=now)
            await send(message)

        return learn


def _check_origin(request: Request, route: Route) -> None:
    """Refuse what another site has a browser send: all that changes something, and all but files and the first look at a page."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    is_foreign = site not in (None, "same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    )
    is_look = route.kind in {RouteKind.PAGE, RouteKind.OPEN, RouteKind.FILE} and request.method not in _CHANGES and origin is None
    if is_foreign and not is_look:
        raise RefusedError(403, "Another site sent this request. Open the page itself.", ways=_TO_CHAT)


async def _receive(request: Request) -> tuple[Receive, bytes]:
    """Read the body, which must be short; return something that tells it once more, and itself."""
    try:
        return await receive_bounded(request.headers, request.receive, most_bytes=MOST_BODY_BYTES)
    except BodyTooLongError as error:
        sentence = f"A request may hold {MOST_BODY_BYTES // 1024} kB. Please shorten your message."
        raise RefusedError(413, sentence, ways=_TO_CHAT) from error


def _lead_to_sign_in(request: Request, path: str, route: Route, person: Person | None) -> Response:
    """Lead somebody who may not enter a page to sign in, and back afterwards.

    Raises:
        RefusedError: his account may not enter, or it is no page.
    """
    there = f"/login?next={quote(path)}"
    if person is not None and person.kind is PersonKind.ACCOUNT:
        sentence = f"You are signed in as {person.name}, and this needs the role {route.role}. Ask an admin for it."
        ways = {"/": "Back to the chat", there: "Sign in as somebody else"} if route.kind is RouteKind.PAGE else _TO_CHAT
        raise RefusedError(403, sentence, title="Not for this account", ways=ways)
    if route.kind is RouteKind.PAGE:
        return lead_to(request, there)
    raise RefusedError(401, "Please sign in.", ways={"/login": "Sign in"})


def _read_names(body: bytes, *keys: str) -> dict[str, str]:
    """Read names of streams and events out of a body, and refuse one without; or with a function that Gradio would seek from the end."""
    try:
        told = json.loads(body)
        names, function = {key: told[key] for key in keys}, told.get("fn_index")
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(400, f"Expected a JSON object with {' and '.join(keys)}. Reload the page.") from error
    if not all(isinstance(name, str) and name.isascii() and 0 < len(name) <= _MOST_NAME_CHARS for name in names.values()):
        raise RefusedError(400, f"Expected short texts as {' and '.join(keys)}. Reload the page.")
    if function is not None and (type(function) is not int or function < 0):
        raise RefusedError(400, "Expected the number of a function. Reload the page.")
    return names


def _find_event(answer: bytes) -> str | None:
    try:
        found: Any = json.loads(answer)["event_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _join_name(route: Route, what: str, name: str) -> str:
    return f"{route.mount} {what} {name}"


def address_of(request: Request) -> str:
    """Return the address that a request came from."""
    return "" if request.client is None else request.client.host


def _with_cookie(send: Send, request: Request, session: Session, now: datetime) -> Send:
    """Add a new visitor's cookie to the answer."""
    carrier = Response()
    set_cookie(carrier, request, session, now=now)
    cookie = next(pair for pair in carrier.raw_headers if pair[0] == b"set-cookie")

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), cookie]}
        await send(message)

    return add


def _harden(send: Send, *, keeps_cors: bool = False) -> Send:
    """Put the wall's headers on every answer, and take off what invites other sites, unless whoever answers may."""
    own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

    async def harden(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if (keeps_cors or not name.lower().startswith(b"access-control-")) and name.lower().decode() not in _HEADERS
            ]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return harden
