import pytest

from assistant.web.routes import RouteKind, find_route
from feedback_db.records import Role


@pytest.mark.parametrize(
    ("method", "path", "kind", "role"),
    [
        ("GET", "/", RouteKind.PAGE, Role.END_USER),
        ("GET", "/review", RouteKind.PAGE, Role.REVIEWER),
        ("GET", "/admin/", RouteKind.PAGE, Role.ADMIN),
        ("GET", "/admin/api", RouteKind.PAGE, Role.ADMIN),
        ("GET", "/admin/api/", RouteKind.PAGE, Role.ADMIN),
        ("GET", "/admin/api/openapi.json", RouteKind.CONFIG, Role.ADMIN),
        ("GET", "/admin/config", RouteKind.CONFIG, Role.ADMIN),
        ("GET", "/review/gradio_api/app_id", RouteKind.CONFIG, Role.REVIEWER),
        ("POST", "/admin/gradio_api/queue/join", RouteKind.JOIN, Role.ADMIN),
        ("GET", "/review/gradio_api/queue/data", RouteKind.STREAM, Role.REVIEWER),
        ("POST", "/gradio_api/cancel", RouteKind.CANCEL, Role.END_USER),
        ("GET", "/admin/assets/index-1a2b.js", RouteKind.FILE, None),
        ("GET", "/static/fonts/ui-sans-serif/font.woff2", RouteKind.FILE, None),
        ("POST", "/login", RouteKind.OPEN, None),
        ("GET", "/healthz", RouteKind.OPEN, None),
    ],
)
def test_what_a_browser_needs_is_listed(method: str, path: str, kind: RouteKind, role: Role | None) -> None:
    found = find_route(method, path)
    assert found is not None
    assert (found.kind, found.role) == (kind, role)


@pytest.mark.parametrize("mount", ["", "/review", "/admin"])
@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/run/predict",
        "/gradio_api/call/predict",
        "/gradio_api/api/predict",
        "/gradio_api/upload",
        "/gradio_api/component_server",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=http://example.org",
        "/gradio_api/heartbeat/abc",
        "/gradio_api/startup-events",
        "/gradio_api/info",
        "/openapi.json",
        "/docs",
        "/monitoring",
        "/login/",
        "/static/../app.py",
        "/static/.env",
        "/static//etc/passwd",
        "/assets/..%2fapp.py",
        "/gradio_api/queue/join/",
        "//",
        "*",
    ],
)
def test_what_nobody_has_listed_does_not_exist(mount: str, path: str) -> None:
    assert find_route("GET", mount + path) is None
    assert find_route("POST", mount + path) is None


def test_what_programs_can_ask_for_is_told_beside_the_admin_page_alone_and_only_read() -> None:
    for path in ("/api", "/api/", "/api/openapi.json", "/review/api/", "/review/api/openapi.json", "/admin/api/x", "/admin/api//"):
        assert find_route("GET", path) is None
    for path in ("/admin/api", "/admin/api/", "/admin/api/openapi.json"):
        assert find_route("POST", path) is None


def test_a_page_is_not_another_one_that_begins_like_it() -> None:
    assert find_route("GET", "/administrator") is None
    assert find_route("GET", "/reviews") is None


def test_nothing_is_changed_by_a_method_that_only_reads() -> None:
    assert find_route("GET", "/logout") is None
    assert find_route("GET", "/gradio_api/queue/join") is None
    assert find_route("DELETE", "/") is None
