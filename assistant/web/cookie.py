"""The cookie that holds a session's token: unreadable for scripts, sent to no other site, and over HTTPS bound to this host."""

from datetime import datetime

from starlette.requests import HTTPConnection
from starlette.responses import Response

from assistant.web.sign_in import Session


def read_token(request: HTTPConnection) -> str:
    """Return the token that a browser shows, "" where it shows none."""
    return request.cookies.get(_name(request), "")


def set_cookie(response: Response, request: HTTPConnection, session: Session, *, now: datetime) -> None:
    """Have the browser keep a session's token as long as the session lasts."""
    lasts = int((session.expires_at - now).total_seconds())
    response.set_cookie(_name(request), session.token, max_age=lasts, httponly=True, samesite="lax", secure=_is_secure(request), path="/")


def clear_cookie(response: Response, request: HTTPConnection) -> None:
    """Have the browser forget the token."""
    response.delete_cookie(_name(request), httponly=True, samesite="lax", secure=_is_secure(request), path="/")


def _name(request: HTTPConnection) -> str:
    return "__Host-errata" if _is_secure(request) else "errata"


def _is_secure(request: HTTPConnection) -> bool:
    return request.url.scheme == "https"
