"""In front of the API: who shows no key comes nowhere, and with a key where its scopes lead. No cookie is ever read here."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.api.errors import ApiError, explain
from assistant.api.keys import KeyRing
from assistant.bounded_body import BodyTooLongError, receive_bounded, replay
from assistant.errors import AssistantError
from assistant.plain_text import mend_surrogates
from feedback_db.api_keys import ApiKey
from feedback_db.api_keys import Scope as KeyScope
from feedback_db.errors import FeedbackError

MOST_BODY_BYTES = 1_000_000
_LOOK_AGAIN_AFTER = timedelta(seconds=1)
_SURROGATE = b"\\ud"  # as JSON spells one, or the half of a character
_SCOPES = {  # what is not here is an admin's
    "/feedback": KeyScope.FEEDBACK,
    "/chat": KeyScope.CHAT,
    "/models": KeyScope.CHAT,
}


class Door:
    """Stands in front of `app`; puts the key into the request's state."""

    def __init__(self, app: ASGIApp, keys: KeyRing, *, clock: Callable[[], datetime]) -> None:
        self._app, self._keys, self._clock = app, keys, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        headers = Headers(scope=scope)
        try:
            needed = find_scope(scope["path"].removeprefix(scope.get("root_path", "")))
            key = await admit(self._keys, headers, needed, now=self._clock())
            told_again, body = await receive_bounded(headers, receive, most_bytes=MOST_BODY_BYTES)
            if _SURROGATE in body.lower():
                told_again = replay(_mend(body), receive)
            valid = _While(self._keys, key, send, clock=self._clock)
            state = {**scope.get("state", {}), "key": key}
            shown = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
            await self._app({**scope, "state": state, "headers": shown}, told_again, valid.send)
        except BodyTooLongError:
            sentence = f"Expected at most {MOST_BODY_BYTES:,} bytes. Found more. Send fewer earlier messages."
            await ApiError(413, sentence, code="request_too_large").answer()(scope, receive, send)
        except ApiError as refused:
            await refused.answer()(scope, receive, send)
        except (AssistantError, FeedbackError) as error:
            await explain(error).answer()(scope, receive, send)


class _While:
    """Passes an answer on while its key is valid: one that is revoked ends what is under way; the server then says that nobody reads it."""

    def __init__(self, keys: KeyRing, key: ApiKey, send: Send, *, clock: Callable[[], datetime]) -> None:
        self._keys, self._key, self._send, self._clock = keys, key, send, clock
        self._looked_at, self._is_over = clock(), False

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on, unless the key is revoked meanwhile."""
        now = self._clock()
        if not self._is_over and now - self._looked_at >= _LOOK_AGAIN_AFTER:
            self._looked_at, self._is_over = now, self._keys.is_revoked(self._key)
            if self._is_over:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if not self._is_over:
            await self._send(message)


async def admit(keys: KeyRing, headers: Headers, needed: KeyScope, *, now: datetime) -> ApiKey:
    """Return the key that a request shows, which must have a scope.

    Raises:
        ApiError: it shows none that is valid, or the key is for something else.
    """
    kind, _, token = headers.get("authorization", "").partition(" ")
    key = None
    if kind.lower() == "bearer" and token.strip():
        key = await to_thread.run_sync(lambda: keys.find(token.strip(), now=now))
    if key is None:
        message = "Expected a key of Errata as 'Authorization: Bearer errata-…'. Found none that is valid. An admin can make one."
        raise ApiError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})
    if needed not in key.scopes:
        message = f"Expected a key with the scope '{needed}'. Found one for {', '.join(sorted(key.scopes))}. Ask an admin for another."
        raise ApiError(403, message, code="missing_scope")
    return key


def _mend(body: bytes) -> bytes:
    """Return a JSON body without halves of characters, which nobody can store or send; one that is no JSON stays as it is."""
    try:
        return json.dumps(_mend_value(json.loads(body))).encode()
    except (ValueError, RecursionError):
        return body


def _mend_value(value: object) -> object:
    if isinstance(value, str):
        return mend_surrogates(value)
    if isinstance(value, list):
        return [_mend_value(one) for one in value]
    return {mend_surrogates(name): _mend_value(one) for name, one in value.items()} if isinstance(value, dict) else value


def find_scope(path: str) -> KeyScope:
    """Return the scope that a path below `/v1` needs; each needs one."""
    return next((scope for begins, scope in _SCOPES.items() if path == begins or path.startswith(f"{begins}/")), KeyScope.ADMIN)
