"""The cookie that holds a session's token: unreadable for scripts, sent to no other site nor to what else a host serves beside us."""

from datetime import datetime

from starlette.requests import HTTPConnection
from starlette.responses import Response

from assistant.web.place import find_address
from assistant.web.sign_in import Session


def read_token(request: HTTPConnection) -> str:
    """Return the token that a browser shows, "" where it shows none."""
    return request.cookies.get(_name(request), "")


def set_cookie(response: Response, request: HTTPConnection, session: Session, *, now: datetime) -> None:
    """Have the browser keep a session's token as long as the session lasts."""
    lasts = int((session.expires_at - now).total_seconds())
    response.set_cookie(
        _name(request), session.token, max_age=lasts, httponly=True, samesite="lax", secure=_is_secure(request), path=_path(request)
    )


def clear_cookie(response: Response, request: HTTPConnection) -> None:
    """Have the browser forget the token."""
    response.delete_cookie(_name(request), httponly=True, samesite="lax", secure=_is_secure(request), path=_path(request))


def _name(request: HTTPConnection) -> str:
    """Return the name; browsers keep `__Host-` for this very host, but only of cookies for all of it."""
    return "errata" if not _is_secure(request) else "__Host-errata" if _path(request) == "/" else "__Secure-errata"


def _path(request: HTTPConnection) -> str:
    return find_address(request, "") or "/"


def _is_secure(request: HTTPConnection) -> bool:
    return request.url.scheme == "https"
