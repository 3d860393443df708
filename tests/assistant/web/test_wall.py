import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from httpx import Response as Answer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from assistant.settings import Settings
from assistant.web.sign_in import SignIn
from assistant.web.wall import MOST_BODY_BYTES, Wall
from feedback_db import people
from feedback_db.database import Database
from feedback_db.records import PersonId, Role
from tests.assistant.web.conftest import NOW, Clock

Browse = Callable[..., TestClient]
OTHER_SITE = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


async def show(request: Request) -> Response:
    """A page: says who is there."""
    return PlainTextResponse(request.state.person.id if hasattr(request.state, "person") else "nobody")


async def join(request: Request) -> Response:
    """Gradio's queue: takes the body, names an event."""
    told = await request.json()
    return JSONResponse({"event_id": f"event of {told['session_hash']}"}, headers={"access-control-allow-origin": "https://evil.example"})


class Streaming:
    """A stream of three pieces; before the last one something may happen."""

    def __init__(self) -> None:
        self.before_last: Callable[[], None] = lambda: None

    async def __call__(self, request: Request) -> Response:
        async def write() -> AsyncIterator[str]:
            yield "one "
            yield "two "
            self.before_last()
            yield "three"

        return StreamingResponse(write())


@pytest.fixture
def streaming() -> Streaming:
    return Streaming()


@pytest.fixture
def browse(sign_in: SignIn, db: Database, clock: Clock, streaming: Streaming) -> Browse:
    """Return browsers: of somebody with an account of a role, or of nobody yet; https or not."""
    pages = [f"{mount}{path}" for mount in ("", "/review", "/admin") for path in ("/", "/config", "/gradio_api/info")]
    routes = [Route(path, show) for path in (*pages, "/login", "/healthz", "/secret")]
    for mount in ("", "/review", "/admin"):
        routes.append(Route(f"{mount}/gradio_api/queue/join", join, methods=["POST"]))
        routes.append(Route(f"{mount}/gradio_api/queue/data", streaming.__call__))
        routes.append(Route(f"{mount}/gradio_api/cancel", show, methods=["POST"]))

    def make(
        role: Role | None = None,
        *,
        welcomes_visitors: bool = True,
        base_url: str = "http://errata.example",
        hosts: frozenset[str] | None = None,
    ) -> TestClient:
        wall = Wall(Starlette(routes=routes), sign_in, welcomes_visitors=welcomes_visitors, clock=clock, hosts=hosts)
        return sign_up(TestClient(wall, base_url=base_url, follow_redirects=False), role)

    def sign_up(client: TestClient, role: Role | None) -> TestClient:
        if role is not None:
            with db.write() as tx:
                people.add_account(tx, PersonId(role.value), name=role.value, role=role, password_hash="$argon2id$", now=NOW)
                session = sign_in.open_account(tx, people.find_person(tx, PersonId(role.value)), now=NOW)
            client.cookies.set("__Host-errata" if str(client.base_url).startswith("https") else "errata", session.token)
        return client

    return make


def join_stream(client: TestClient, name: str = "s1", mount: str = "", **extra: object) -> int:
    return client.post(f"{mount}/gradio_api/queue/join", content=json.dumps({"session_hash": name}), **extra).status_code  # type: ignore[arg-type]


def cancel(client: TestClient, name: str, event: str) -> int:
    told = {"session_hash": name, "event_id": event, "fn_index": 0}
    return client.post("/gradio_api/cancel", json=told).status_code


@pytest.mark.parametrize(
    ("role", "allowed"),
    [(None, set()), (Role.END_USER, {""}), (Role.REVIEWER, {"", "/review"}), (Role.ADMIN, {"", "/review", "/admin"})],
)
def test_each_role_enters_its_pages_and_no_others(browse: Browse, role: Role | None, allowed: set[str]) -> None:
    client = browse(role, welcomes_visitors=False)
    for mount in ("", "/review", "/admin"):
        answers = [client.get(f"{mount}/config").status_code, join_stream(client, mount=mount)]
        assert all(status == 200 for status in answers) is (mount in allowed)
        assert all(status in {401, 403} for status in answers) is (mount not in allowed)


def test_what_is_not_listed_is_not_found_even_by_an_admin(browse: Browse) -> None:
    client = browse(Role.ADMIN)
    assert [client.get(path).status_code for path in ("/secret", "/gradio_api/info", "/admin/gradio_api/info")] == [404, 404, 404]


def test_a_page_sends_a_stranger_to_sign_in_and_back(browse: Browse) -> None:
    answer = browse().get("/admin")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/admin")


def test_a_visitor_gets_a_session_with_the_first_page_and_keeps_it(browse: Browse) -> None:
    client = browse()
    first, second = client.get("/"), client.get("/")
    assert first.text == second.text != "nobody"
    assert "set-cookie" not in second.headers
    cookie = first.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/"))
    assert client.get("/review/config").status_code == 401


def test_over_https_the_cookie_is_bound_to_the_host(browse: Browse) -> None:
    cookie = browse(base_url="https://errata.example").get("/").headers["set-cookie"]
    assert cookie.startswith("__Host-errata=")
    assert "secure" in cookie.lower()


def test_nobody_becomes_a_visitor_where_visitors_are_not_welcome(browse: Browse) -> None:
    answer = browse(welcomes_visitors=False).get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/")
    assert "set-cookie" not in answer.headers


def test_looking_at_the_headers_makes_no_visitor(browse: Browse, db: Database) -> None:
    browse().head("/")
    assert db.read().execute("SELECT count(*) FROM people").fetchone()[0] == 0


def test_a_stream_is_read_and_cancelled_by_its_owner_alone(browse: Browse) -> None:
    client = browse()
    ann, bob = client.get("/").cookies, None
    assert join_stream(client) == 200
    assert client.get("/gradio_api/queue/data?session_hash=s1").text == "one two three"
    client.cookies.clear()
    bob = client.get("/").cookies
    assert ann["errata"] != bob["errata"]
    assert client.get("/gradio_api/queue/data?session_hash=s1").status_code == 403
    assert join_stream(client) == 403
    assert join_stream(client, "s2") == 200
    assert cancel(client, "s1", "event of s1") == 403
    assert cancel(client, "s2", "event of s1") == 403
    assert cancel(client, "s2", "event of s2") == 200


def test_a_stream_stays_its_persons_when_the_session_is_another_one(browse: Browse, sign_in: SignIn, db: Database) -> None:
    client, somebody = browse(Role.END_USER), PersonId(Role.END_USER.value)
    assert join_stream(client) == 200
    with db.write() as tx:  # as when he changes his password
        session = sign_in.open_account(tx, people.find_person(tx, somebody), now=NOW)
    client.cookies.set("errata", session.token)
    assert join_stream(client) == 200
    assert client.get("/gradio_api/queue/data?session_hash=s1").text == "one two three"


def test_a_stream_of_one_page_is_none_of_another(browse: Browse) -> None:
    client = browse(Role.ADMIN)
    assert join_stream(client, mount="/admin") == 200
    assert client.get("/gradio_api/queue/data?session_hash=s1").status_code == 403


@pytest.mark.parametrize("how", ["disabled", "reset"])
def test_a_stream_breaks_off_when_its_session_is_over(
    browse: Browse, streaming: Streaming, db: Database, sign_in: SignIn, clock: Clock, how: str
) -> None:
    client, somebody = browse(Role.END_USER), PersonId(Role.END_USER.value)

    def end() -> None:
        if how == "reset":
            sign_in.reset_password(somebody, actor=somebody, now=NOW)
        else:
            with db.write() as tx:
                people.disable(tx, somebody, now=NOW)
        clock.move(timedelta(seconds=1))

    streaming.before_last = end
    join_stream(client)
    assert client.get("/gradio_api/queue/data?session_hash=s1").text == "one two "
    assert client.get("/gradio_api/queue/data?session_hash=s1").status_code == 401


@pytest.mark.parametrize("headers", [OTHER_SITE, {"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"}, {"origin": "null"}])
def test_another_site_can_send_nothing_in_somebodys_name(browse: Browse, headers: dict[str, str]) -> None:
    client = browse(Role.ADMIN)
    assert join_stream(client, headers=headers) == 403
    assert client.get("/config", headers=headers).status_code == 403


def test_a_link_on_another_site_leads_here(browse: Browse) -> None:
    assert browse(Role.ADMIN).get("/admin/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_the_page_itself_may_send(browse: Browse) -> None:
    headers = {"origin": "http://errata.example", "sec-fetch-site": "same-origin"}
    assert join_stream(browse(Role.END_USER), headers=headers) == 200


def test_a_body_of_twenty_megabytes_is_refused_announced_or_not(browse: Browse) -> None:
    client = browse(Role.END_USER)
    body = b"x" * 20_000_000
    assert client.post("/gradio_api/queue/join", content=body).status_code == 413
    assert client.post("/gradio_api/queue/join", content=iter([body[:MOST_BODY_BYTES], b"x"])).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"session_hash": 7}',
        '{"session_hash": ""}',
        json.dumps({"session_hash": "x" * 65}),
        json.dumps({"session_hash": "\ud800"}),
    ],
)
def test_a_body_that_names_no_stream_is_refused_with_a_sentence(browse: Browse, body: str) -> None:
    answer = browse(Role.END_USER).post("/gradio_api/queue/join", content=body)
    assert answer.status_code == 400
    assert "Reload the page" in answer.json()["detail"]


@pytest.mark.parametrize("number", ["-1", "1.5", "true", '"0"'])
def test_a_function_that_is_no_number_from_zero_on_is_refused_with_a_sentence(browse: Browse, number: str) -> None:
    answer = browse(Role.END_USER).post("/gradio_api/queue/join", content=f'{{"session_hash": "s1", "fn_index": {number}}}')
    assert (answer.status_code, "Reload the page" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("address", "status"),
    [("http://localhost:7860", 200), ("http://127.0.0.1:7860", 200), ("http://[::1]:7860", 200), ("http://evil.example:7860", 421)],
)
def test_who_serves_one_machine_is_not_found_by_a_strangers_name_that_leads_here(browse: Browse, address: str, status: int) -> None:
    client = browse(base_url=address, hosts=Settings(host="127.0.0.1").known_hosts)
    assert client.get("/").status_code == status


def test_sixty_events_at_once_are_too_many_and_wait_a_moment(browse: Browse, clock: Clock) -> None:
    client = browse(Role.END_USER)
    answers = [join_stream(client) for _ in range(60)]
    assert (answers.count(200), answers.count(429)) == (40, 20)
    clock.move(timedelta(seconds=10))
    assert join_stream(client) == 200


def test_one_address_cannot_fill_the_memory_with_visitors(browse: Browse) -> None:
    client = browse()
    answers = crowd(client, {})
    assert [answer.status_code for answer in answers].count(200) == 60
    assert int(answers[-1].headers["retry-after"]) == 600


def test_every_answer_carries_the_headers_and_invites_no_other_site(browse: Browse) -> None:
    client = browse(Role.END_USER)
    answers = [
        client.get("/"),
        client.get("/secret"),
        client.post("/gradio_api/queue/join", json={"session_hash": "s1"}),
    ]
    for answer in answers:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name.startswith("access-control")]


LOOK = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
REFUSALS: dict[str, tuple[int, str, Callable[[Browse, dict[str, str]], Answer]]] = {
    "too low a role": (403, 'href="/login?next=/review/"', lambda browse, told: browse(Role.END_USER).get("/review/", headers=told)),
    "another site": (403, 'href="/"', lambda browse, told: browse().post("/login", headers={**OTHER_SITE, **told})),
    "no such address": (404, 'href="/"', lambda browse, told: browse().get("/%3Cb%3Esecret", headers=told)),
    "too long": (413, 'href="/"', lambda browse, told: browse().post("/login", content=b"x" * (MOST_BODY_BYTES + 1), headers=told)),
    "another name": (421, "ERRATA_PUBLIC_HOSTS", lambda browse, told: browse(hosts=frozenset({"localhost"})).get("/", headers=told)),
    "a crowd": (429, "Try again in 10 minutes", lambda browse, told: crowd(browse(), told)[-1]),
}


def crowd(client: TestClient, headers: dict[str, str]) -> list[Answer]:
    """Return what 61 new visitors of one address are answered."""
    answers = []
    for _ in range(61):
        client.cookies.clear()
        answers.append(client.get("/", headers=headers))
    return answers


@pytest.mark.parametrize("why", REFUSALS)
def test_somebody_who_is_refused_sees_a_page_that_leads_on(browse: Browse, why: str) -> None:
    status, told, refuse = REFUSALS[why]
    answer = refuse(browse, LOOK)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert told in answer.text
    assert "<b>" not in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert ("retry-after" in answer.headers) is (status == 429)


@pytest.mark.parametrize("why", REFUSALS)
def test_a_program_that_is_refused_gets_json(browse: Browse, why: str) -> None:
    status, _, refuse = REFUSALS[why]
    answer = refuse(browse, {"accept": "*/*"})
    assert (answer.status_code, list(answer.json())) == (status, ["detail"])
    assert ("retry-after" in answer.headers) is (status == 429)


def test_a_refusal_shows_a_name_as_text(browse: Browse, db: Database) -> None:
    client = browse(Role.END_USER)
    with db.write() as tx:
        tx.execute("UPDATE people SET name = '<b>Eve'")
    assert "&lt;b&gt;Eve" in client.get("/admin/", headers=LOOK).text


def test_a_websocket_is_refused(browse: Browse) -> None:
    with pytest.raises(WebSocketDisconnect), browse(Role.ADMIN).websocket_connect("/gradio_api/queue/join"):
        pass
