"""The whole site as it is served: whoever may not run a function of a page cannot, by whichever way Gradio offers."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from assistant.settings import Settings
from assistant.web.sign_in import SignIn
from errata import compose_site
from feedback_db import people
from feedback_db.records import PersonId, Role
from tests.assistant.web.site_driving import read_config
from trainer.composition import Errata, open_errata

LEAST = {"": Role.END_USER, "/review": Role.REVIEWER, "/admin": Role.ADMIN}
JOIN = "{mount}/gradio_api/queue/join"
WAYS = (
    JOIN,
    "{mount}/queue/join",
    "{mount}/gradio_api/run/{name}",
    "{mount}/gradio_api/api/{name}",
    "{mount}/gradio_api/call/{name}",
    "{mount}/gradio_api/call/v2/{name}",
    "{mount}/gradio_api/run/predict",
    "{mount}/gradio_api/api/predict",
    "{mount}/run/{name}",
    "{mount}/api/{name}",
    "{mount}/call/{name}",
)


@pytest.fixture(scope="module")
def errata(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Errata]:
    with open_errata(Settings(base=str(tiny_base), device="cpu", data_folder=tmp_path_factory.mktemp("data"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def browsers(errata: Errata, tiny_base: Path) -> Iterator[dict[Role | None, TestClient]]:
    """Somebody of each role, and somebody whom the site does not know."""
    settings = Settings(base=str(tiny_base), host="localhost", anonymous_chat=False)
    composed = compose_site(settings, errata)
    sign_in, site = composed.sign_in, composed.app
    with TestClient(site, base_url="http://localhost") as running:
        found = dict[Role | None, TestClient]()
        for role in (None, *Role):
            found[role] = TestClient(site, base_url="http://localhost", follow_redirects=False)
            found[role].portal = running.portal
            if role is not None:
                found[role].cookies.set("errata", sign_in_somebody(errata, sign_in, role), domain="localhost.local")
        yield found


def sign_in_somebody(errata: Errata, sign_in: SignIn, role: Role) -> str:
    now = datetime.now(UTC)
    with errata.db.write() as tx:
        person = people.add_account(tx, PersonId(role), name=role, role=role, password_hash="x", now=now)
        return sign_in.open_account(tx, person, now=now).token


def list_functions(admin: TestClient, mount: str) -> list[dict[str, Any]]:
    return [one for one in read_config(admin, mount)["dependencies"] if one["backend_fn"]]


@pytest.mark.parametrize("mount", LEAST)
def test_no_function_runs_for_whom_it_is_not_nor_by_any_other_way(browsers: dict[Role | None, TestClient], mount: str) -> None:
    functions = list_functions(browsers[Role.ADMIN], mount)
    assert functions
    statuses, unexpected, tried = Counter[int](), list[tuple[Role | None, str]](), 0
    for role, browser in browsers.items():
        may_join = role is not None and role.includes(LEAST[mount])
        for function in functions:
            body = {"fn_index": function["id"], "data": [""] * len(function["inputs"]), "session_hash": "matrix"}
            for way in WAYS[1:] if may_join else WAYS:
                path = way.format(mount=mount, name=function["api_name"])
                status = browser.post(path, json=body).status_code
                tried, statuses[status] = tried + 1, statuses[status] + 1
                if status < 400:
                    unexpected.append((role, path))
    print(f"{mount or '/'}: {len(functions)} functions, {tried} attempts, {len(unexpected)} unexpected successes, {dict(statuses)}")
    assert unexpected == []


@pytest.mark.parametrize("mount", LEAST)
def test_whoever_has_the_role_can_join(browsers: dict[Role | None, TestClient], mount: str) -> None:
    function = next(one for one in list_functions(browsers[Role.ADMIN], mount) if one["api_name"] == "_load")
    body = {"fn_index": function["id"], "data": [""] * len(function["inputs"]), "session_hash": f"allowed {LEAST[mount]}"}
    assert browsers[LEAST[mount]].post(JOIN.format(mount=mount), json=body).status_code == 200


def test_what_programs_can_ask_for_is_told_to_admins_alone(browsers: dict[Role | None, TestClient]) -> None:
    pages = {"/admin/api/": "text/html", "/admin/api/openapi.json": "application/json"}
    statuses = {(role, path): browser.get(path).status_code for role, browser in browsers.items() for path in pages}
    print(f"{len(statuses)} attempts, {sum(status == 200 for status in statuses.values())} successes")
    assert {one for one, status in statuses.items() if status == 200} == {(Role.ADMIN, path) for path in pages}
    assert (statuses[None, "/admin/api/"], statuses[None, "/admin/api/openapi.json"]) == (303, 401)
    admin = browsers[Role.ADMIN]
    for path, kind in pages.items():
        assert admin.get(path).headers["content-type"].startswith(kind)
        assert admin.get(path).headers["cache-control"] == "no-store"
    assert admin.get("/admin/api").headers["location"] == "/admin/api/"


def test_the_page_tells_of_each_endpoint_and_loads_nothing(browsers: dict[Role | None, TestClient]) -> None:
    described = browsers[Role.ADMIN].get("/admin/api/openapi.json").json()
    shown = browsers[Role.ADMIN].get("/admin/api/").text
    assert len(described["paths"]) > 10
    for path in described["paths"]:
        assert f"</span>/v1{path}</code>" in shown
    assert "http://localhost/v1/chat/completions" in shown
    assert not re.search(r"<script|<img|<link|src=|@import|url\(", shown)
    assert set(re.findall(r'href="([^"#]+)', shown)) == {"../", "openapi.json"}
