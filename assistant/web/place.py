"""Where the site stands: at the root of its host, or at a path that a host application mounts it at. The wall finds out and tells."""

from collections.abc import MutableMapping
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse


def note_place(scope: MutableMapping[str, Any]) -> str:
    """Note in a request's state what stands before the site's own paths, and return the path behind it."""
    place = scope.get("root_path", "").rstrip("/")
    scope.setdefault("state", {})["place"] = place
    return str(scope["path"]).removeprefix(place) or "/"


def find_address(request: HTTPConnection, path: str) -> str:
    """Return where a browser finds a path of the site."""
    return f"{request.scope.get('state', {}).get('place', '')}{path}"


def find_site(request: HTTPConnection | None) -> str:
    """Return where a browser has found the site, by what it tells with what it sends and the wall has checked."""
    return "" if request is None else request.headers.get("origin", "") + find_address(request, "")


def lead_to(request: HTTPConnection, path: str, status: int = 303) -> RedirectResponse:
    """Lead a browser to a path of the site."""
    return RedirectResponse(find_address(request, path), status)
