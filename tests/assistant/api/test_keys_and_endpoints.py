"""Every endpoint of the API by every kind of key: what opens is what the key is for, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Mount

from assistant.api.door import MOST_BODY_BYTES, find_scope
from feedback_db import people
from feedback_db.api_keys import Scope
from feedback_db.errors import DiskFullError
from feedback_db.records import Person
from tests.assistant.api.conftest import Served

pytestmark = pytest.mark.slow
ENDPOINTS = {
    ("POST", "/chat/completions"): Scope.CHAT,
    ("GET", "/models"): Scope.CHAT,
    ("GET", "/models/{model}"): Scope.CHAT,
    ("POST", "/feedback"): Scope.FEEDBACK,
    ("GET", "/admin/status"): Scope.ADMIN,
    ("GET", "/admin/runs"): Scope.ADMIN,
    ("POST", "/admin/runs"): Scope.ADMIN,
    ("GET", "/admin/runs/{run_id}"): Scope.ADMIN,
    ("POST", "/admin/runs/{run_id}/cancel"): Scope.ADMIN,
    ("GET", "/admin/runs/{run_id}/events"): Scope.ADMIN,
    ("GET", "/admin/requests/{request_id}"): Scope.ADMIN,
    ("GET", "/admin/versions"): Scope.ADMIN,
    ("GET", "/admin/versions/{version}"): Scope.ADMIN,
    ("POST", "/admin/versions/{version}/promote"): Scope.ADMIN,
    ("POST", "/admin/rollback"): Scope.ADMIN,
}
BODIES = {
    "/chat/completions": {"model": "support", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1},
    "/feedback": {"inference_id": "x", "metric_name": "rating", "value": True},
}
SCOPES = [set(chosen) for count in (1, 2, 3) for chosen in combinations(Scope, count)]


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{served.address}/v1") as opened:
        yield opened


def list_served(served: Served) -> set[tuple[str, str]]:
    """Return what the site itself says that it serves."""
    wall = served.site.app
    inside = next(route for route in wall._app.routes if isinstance(route, Mount) and route.path == "/v1").app  # type: ignore[attr-defined]
    return {(method, path) for path, found in inside._app.openapi()["paths"].items() for method in map(str.upper, found)}


def test_the_list_of_endpoints_is_whole(served: Served) -> None:
    assert list_served(served) == set(ENDPOINTS)


def test_each_key_opens_what_it_is_for_and_nothing_else(served: Served, http: httpx.Client) -> None:
    unexpected, tried = [], 0
    tokens = {"": None, "unknown": "errata-unknown"} | {", ".join(sorted(scopes)): served.make_key(*scopes) for scopes in SCOPES}
    for (method, path), needed in ENDPOINTS.items():
        address = path.format(model="support", run_id="none", request_id=0, version=999)
        for name, token in tokens.items():
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            status = http.request(method, address, json=BODIES.get(path, {}), headers=headers).status_code
            expected = 401 if name in {"", "unknown"} else 403 if needed not in name.split(", ") else None
            tried += 1
            if (expected is not None and status != expected) or (expected is None and status in {401, 403, 500}):
                unexpected.append((method, path, name, status))
    print(f"{len(ENDPOINTS)} endpoints, {len(tokens)} kinds of keys: {tried} attempts, {len(unexpected)} unexpected")
    assert unexpected == []


def test_a_cookie_opens_nothing(served: Served) -> None:
    admin = find_admin(served)
    with served.site.errata.db.write() as tx:
        token = served.site.sign_in.open_account(tx, admin, now=datetime.now(UTC)).token
    for path in ("/v1/models", "/v1/admin/status", "/v1/anything"):
        assert httpx.get(f"{served.address}{path}", headers={"cookie": f"errata={token}"}).status_code == 401


def find_admin(served: Served) -> Person:
    served.make_key(Scope.CHAT)
    found = people.find_account(served.site.errata.db.read(), "ada")
    assert found is not None
    return found[0]


def test_no_other_way_in_opens(served: Served) -> None:
    token = served.make_key(Scope.CHAT)
    ways = [
        {"authorization": f"Basic {token}"},
        {"authorization": token},
        {"authorization": "Bearer"},
        {"x-api-key": token},
        {"api-key": token},
    ]
    assert [httpx.get(f"{served.address}/v1/models", headers=way).status_code for way in ways] == [401] * len(ways)
    assert httpx.get(f"{served.address}/v1/models?api_key={token}").status_code == 401
    assert httpx.get(f"{served.address}/v1/models", headers={"authorization": f"bearer {token}"}).status_code == 200


def test_a_path_that_nobody_thought_of_is_an_admins(served: Served) -> None:
    assert {path: find_scope(path) for path in ("/chat/x", "/chats", "/models", "/feedbacks", "", "/", "/admin")} == {
        "/chat/x": Scope.CHAT,
        "/chats": Scope.ADMIN,
        "/models": Scope.CHAT,
        "/feedbacks": Scope.ADMIN,
        "": Scope.ADMIN,
        "/": Scope.ADMIN,
        "/admin": Scope.ADMIN,
    }


def test_a_body_may_be_long_and_no_longer(served: Served, http: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {served.make_key(Scope.CHAT)}", "content-type": "application/json"}
    for body in (b" " * (MOST_BODY_BYTES + 1), iter([b" " * 400_000] * 3)):
        refused = http.post("/chat/completions", content=body, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    assert http.post("/chat/completions", content=b"{}".ljust(MOST_BODY_BYTES), headers=headers).status_code == 400


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b"", b"null", b'{"model": "support", "messages": [{}]}', b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_request_gets_a_sentence(served: Served, http: httpx.Client, body: bytes) -> None:
    headers = {"authorization": f"Bearer {served.make_key(Scope.CHAT)}", "content-type": "application/json"}
    refused = http.post("/chat/completions", content=body, headers=headers)
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["message"]


def test_half_characters_and_huge_numbers_are_no_faults_of_ours(served: Served, http: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {served.make_key(*Scope)}", "content-type": "application/json"}
    hi = b'"messages": [{"role": "user", "content": "hi \\ud800"}], "max_tokens": 1'
    assert http.post("/chat/completions", content=b'{"model": "x\\ud800", ' + hi + b"}", headers=headers).status_code == 404
    told = b'{"model": "support", "metadata": {"consent": "true", "consent_wording": "\\ud800", "chat_id": "\\ud83d\\ude00"}, ' + hi + b"}"
    assert http.post("/chat/completions", content=told, headers=headers).status_code == 200
    for path in ("/admin/requests/99999999999999999999", "/admin/versions/99999999999999999999"):
        assert http.get(path, headers=headers).status_code == 400


def test_a_use_that_cannot_be_noted_refuses_nobody(served: Served, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"authorization": f"Bearer {served.make_key(Scope.CHAT)}"}

    def refuse() -> None:
        raise DiskFullError(Path("/secret/place"))

    monkeypatch.setattr(served.site.errata.db, "write", refuse)
    assert http.get("/models", headers=headers).status_code == 200
    body = {"model": "support", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    refused = http.post("/chat/completions", json=body, headers=headers)
    assert (refused.status_code, "/secret" in refused.text) == (503, False)
    streamed = http.post("/chat/completions", json={**body, "stream": True}, headers=headers)
    assert '"error":' in streamed.text
    assert streamed.text.endswith("data: [DONE]\n\n")


def test_a_long_chat_is_answered_soon_and_keeps_nobody_waiting(served: Served, http: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {served.make_key(Scope.CHAT)}"}
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 5000
    body = {"model": "support", "messages": [*said, {"role": "user", "content": "x"}], "max_tokens": 1}
    assert http.post("/chat/completions", json=body, headers=headers, timeout=20).status_code == 200


def test_no_other_site_may_ask_from_a_browser(served: Served, http: httpx.Client) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = http.options("/chat/completions", headers=headers)
    assert answer.status_code == 401
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_figures_are_for_this_machine_and_for_admins(served: Served) -> None:
    address = f"{served.address}/metrics"
    told = httpx.get(address)
    assert told.status_code == 200
    assert "errata_replies_total" in told.text
    assert 'errata_corrections{state="pending"}' in told.text
    assert "errata_wish_is_not_fact 0.0" in told.text
    families = {family.name: family.type for family in text_string_to_metric_families(told.text)}
    assert families["errata_first_token_seconds"] == "histogram"
    assert {"errata_replies", "errata_tokens", "errata_swaps", "errata_runs", "errata_review_queue"} <= set(families)
    for passed_on in ({"via": "1.1 proxy"}, {"x-forwarded-proto": "https"}, {"host": "support.example"}):
        assert httpx.get(address, headers=passed_on).status_code in {401, 421}
    proxied = {"x-forwarded-for": "203.0.113.7"}
    assert httpx.get(address, headers=proxied).status_code == 401
    for scope, status in ((Scope.CHAT, 403), (Scope.ADMIN, 200)):
        headers = {**proxied, "authorization": f"Bearer {served.make_key(scope)}"}
        assert httpx.get(address, headers=headers).status_code == status


def test_health_and_readiness_are_for_everybody(served: Served) -> None:
    assert httpx.get(f"{served.address}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{served.address}/readyz").json() == {"status": "ok", "version": 0}
