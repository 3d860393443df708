"""What may pass the wall, and who may: every route that a browser needs, and no other. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

from feedback_db.records import Role


class RouteKind(StrEnum):
    """What a route is for; the wall looks closer at those of Gradio's queue."""

    OPEN = "open"  # for everybody: signing in, health
    FILE = "file"  # for everybody: styles, scripts, fonts, icons
    PAGE = "page"
    CONFIG = "config"
    JOIN = "join"
    STREAM = "stream"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route that was found: of which page it is (`mount` "" is the chat page's), and the least role, None for everybody."""

    kind: RouteKind
    mount: str
    role: Role | None


_MOUNTS = {"/admin": Role.ADMIN, "/review": Role.REVIEWER, "": Role.END_USER}  # the most special first
_READ = frozenset({"GET", "HEAD"})
_POST = frozenset({"POST"})
_OPEN = (
    (_READ | _POST, re.compile(r"/login|/set-up|/password")),
    (_POST, re.compile(r"/logout")),
    (_READ, re.compile(r"/healthz|/readyz|/metrics")),
)
_FOR_PROGRAMS = "/v1/"
_NAME = r"[\w@~-][\w.@~-]*"  # of a file or folder: no hidden one, and none above
_OF_A_PAGE = (
    (RouteKind.PAGE, _READ, re.compile(r"/?")),
    (RouteKind.CONFIG, _READ, re.compile(r"/config/?|/gradio_api/app_id")),  # the latter tells whether a lost server is back
    (
        RouteKind.FILE,
        _READ,
        re.compile(rf"/(static|assets|svelte)(/{_NAME})+|/favicon\.ico|/theme\.css|/gradio_api/theme\.css|/robots\.txt"),
    ),
    (RouteKind.JOIN, _POST, re.compile(r"/gradio_api/queue/join")),
    (RouteKind.STREAM, _READ, re.compile(r"/gradio_api/queue/data")),
    (RouteKind.CANCEL, _POST, re.compile(r"/gradio_api/cancel")),
)

_OF_THE_ADMIN_PAGE = (  # what programs can ask for
    (RouteKind.PAGE, _READ, re.compile(r"/api/?")),
    (RouteKind.CONFIG, _READ, re.compile(r"/api/openapi\.json")),
)


def find_place(path: str) -> str:
    """Return a path if somebody may be led there after signing in, else the chat page's: nobody is sent to another site."""
    route = find_route("GET", path)
    return path if path == "/password" or (route is not None and route.kind is RouteKind.PAGE) else "/"


def is_for_programs(path: str) -> bool:
    """Say whether a path is the API's, which has a door of its own and knows no person."""
    return path.startswith(_FOR_PROGRAMS)


def find_route(method: str, path: str) -> Route | None:
    """Return the route of a request, None where nothing may pass."""
    if any(method in methods and pattern.fullmatch(path) for methods, pattern in _OPEN):
        return Route(kind=RouteKind.OPEN, mount="", role=None)
    mount = next((mount for mount in _MOUNTS if path == mount or path.startswith(f"{mount}/")), None)
    if mount is None:
        return None
    for kind, methods, pattern in (*_OF_A_PAGE, *(_OF_THE_ADMIN_PAGE if mount == "/admin" else ())):
        if method in methods and pattern.fullmatch(path.removeprefix(mount)):
            return Route(kind=kind, mount=mount, role=None if kind is RouteKind.FILE else _MOUNTS[mount])
    return None
