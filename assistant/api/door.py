"""In front of the API: who shows no key comes nowhere, and with a key where its scopes lead. No cookie is ever read here."""

from collections.abc import Callable
from datetime import datetime

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant.api.errors import ApiError
from assistant.api.keys import KeyRing
from assistant.bounded_body import BodyTooLongError, receive_bounded
from feedback_db.api_keys import ApiKey
from feedback_db.api_keys import Scope as KeyScope

MOST_BODY_BYTES = 1_000_000
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
            told_again, _ = await receive_bounded(headers, receive, most_bytes=MOST_BODY_BYTES)
            state = {**scope.get("state", {}), "key": key}
            shown = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
            await self._app({**scope, "state": state, "headers": shown}, told_again, send)
        except BodyTooLongError:
            sentence = f"Expected at most {MOST_BODY_BYTES:,} bytes. Found more. Send fewer earlier messages."
            await ApiError(413, sentence, code="request_too_large").answer()(scope, receive, send)
        except ApiError as refused:
            await refused.answer()(scope, receive, send)


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


def find_scope(path: str) -> KeyScope:
    """Return the scope that a path below `/v1` needs; each needs one."""
    return next((scope for begins, scope in _SCOPES.items() if path == begins or path.startswith(f"{begins}/")), KeyScope.ADMIN)
