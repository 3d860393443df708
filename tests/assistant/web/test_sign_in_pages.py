import re
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from assistant.web.passwords import hash_password
from assistant.web.sign_in import SignIn
from assistant.web.sign_in_pages import SignInPages
from assistant.web.wall import Wall
from feedback_db import conversations, people
from feedback_db.database import Database
from feedback_db.records import Channel, ConversationId, PersonId, Role
from tests.assistant.web.conftest import NOW, Clock

HASH = hash_password("correct horse")
CROSS = "<script>alert(1)</script>"


@pytest.fixture
def client(sign_in: SignIn, clock: Clock) -> TestClient:
    pages = SignInPages(sign_in, welcomes_visitors=True, clock=clock)
    wall = Wall(Starlette(routes=pages.list_routes()), sign_in, welcomes_visitors=True, clock=clock)
    return TestClient(wall, base_url="http://errata.example", follow_redirects=False)


@pytest.fixture
def ann(db: Database) -> str:
    with db.write() as tx:
        people.add_account(tx, PersonId("ann"), name="Ann", role=Role.REVIEWER, password_hash=HASH, now=NOW)
    return "Ann"


def test_who_signs_in_goes_on_where_he_wanted_to(client: TestClient, sign_in: SignIn, ann: str) -> None:
    shown = client.get("/login?next=/review")
    assert 'value="/review"' in shown.text
    answer = client.post("/login", data={"name": ann, "password": "correct horse", "next": "/review"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/review")
    person = sign_in.find(client.cookies["errata"], now=NOW)
    assert person is not None
    assert person.name == ann


@pytest.fixture
def held(client: TestClient, sign_in: SignIn, db: Database) -> PersonId:
    """In this browser a visitor has said something half an hour ago."""
    session = sign_in.open_visitor(now=NOW)
    with db.write() as tx:
        talk, began = ConversationId("c1"), NOW - timedelta(minutes=30)
        conversations.start_conversation(tx, talk, person_id=session.person.id, channel=Channel.WEB, title=CROSS, now=began)
    client.cookies.set("errata", session.token, domain="errata.example")
    return session.person.id


def owner(db: Database) -> str:
    return str(db.read().execute("SELECT person_id FROM conversations").fetchone()[0])


def box(page: str) -> str:
    """Return the box to tick for taking conversations along, "" where there is none."""
    found = re.search(r'<input name="take"[^>]*>', page)
    return "" if found is None else found[0]


def test_conversations_without_an_account_come_along_if_they_are_wished_for(
    client: TestClient, db: Database, ann: str, held: PersonId
) -> None:
    shown = client.get("/login").text
    assert CROSS not in shown
    assert "&lt;script&gt;" in shown
    client.post("/login", data={"name": ann, "password": "correct horse", "take": "yes"})
    assert owner(db) == "ann"


def test_they_stay_behind_if_they_are_not(client: TestClient, db: Database, ann: str, held: PersonId) -> None:
    client.post("/login", data={"name": ann, "password": "correct horse"})
    assert owner(db) == held


def test_the_box_is_ticked_only_as_long_as_it_is_most_likely_the_same_person(client: TestClient, clock: Clock, held: PersonId) -> None:
    assert "checked" in box(client.get("/login").text)
    clock.move(timedelta(minutes=31))
    assert "checked" not in box(client.get("/login").text)
    assert box(client.get("/login").text)


def test_a_failure_keeps_what_was_ticked_and_takes_nothing(client: TestClient, db: Database, ann: str, held: PersonId) -> None:
    for ticked in ({}, {"take": "yes"}):
        answer = client.post("/login", data={"name": ann, "password": "wrong", **ticked})
        assert ("checked" in box(answer.text)) is bool(ticked)
    assert owner(db) == held


def test_where_nothing_was_said_nothing_is_offered(client: TestClient, sign_in: SignIn) -> None:
    assert not box(client.get("/login").text)
    client.cookies.set("errata", sign_in.open_visitor(now=NOW).token, domain="errata.example")
    assert not box(client.get("/login").text)


def test_the_first_account_takes_them_along_too(client: TestClient, sign_in: SignIn, db: Database, held: PersonId) -> None:
    told = {"token": sign_in.find_set_up_token(), "name": "Ada", "password": "correct horse", "take": "yes"}
    assert box(client.get(f"/set-up?token={told['token']}").text)
    client.post("/set-up", data=told)
    assert owner(db) not in {held, ""}


def test_another_site_has_nobody_take_anything_along(client: TestClient, db: Database, ann: str, held: PersonId) -> None:
    told = {"name": ann, "password": "correct horse", "take": "yes"}
    assert client.post("/login", data=told, headers={"origin": "https://evil.example"}).status_code == 403
    assert owner(db) == held


@pytest.mark.parametrize("then", ["https://evil.example", "//evil.example", "/\\evil.example", "/login", "/config", "javascript:alert(1)"])
def test_nobody_is_sent_to_another_site_afterwards(client: TestClient, ann: str, then: str) -> None:
    answer = client.post("/login", data={"name": ann, "password": "correct horse", "next": then})
    assert answer.headers["location"] == "/"


def test_a_wrong_password_keeps_the_name_and_says_so(client: TestClient, ann: str) -> None:
    answer = client.post("/login", data={"name": ann, "password": "wrong", "next": "/"})
    assert answer.status_code == 401
    assert 'value="Ann"' in answer.text
    assert "do not fit" in answer.text
    assert "errata" not in client.cookies


def test_the_sixth_attempt_waits(client: TestClient, ann: str) -> None:
    answers = [client.post("/login", data={"name": ann, "password": "wrong"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 800


def test_what_was_typed_is_text_on_the_page(client: TestClient) -> None:
    answer = client.post("/login", data={"name": CROSS, "password": "x", "next": f'/"{CROSS}'})
    assert CROSS not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_after_signing_out_the_old_cookie_is_worth_nothing(client: TestClient, sign_in: SignIn, ann: str) -> None:
    client.post("/login", data={"name": ann, "password": "correct horse"})
    token = client.cookies["errata"]
    answer = client.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "errata" not in client.cookies
    assert sign_in.find(token, now=NOW) is None
    client.cookies.set("errata", token)
    assert client.get("/config").status_code == 401


def test_the_set_up_link_makes_an_admin_and_then_works_no_more(client: TestClient, sign_in: SignIn) -> None:
    token = sign_in.find_set_up_token()
    shown = client.get(f"/set-up?token={token}")
    assert "first account" in shown.text
    answer = client.post("/set-up", data={"token": token, "name": "Ada", "password": "correct horse"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")
    assert client.get(f"/set-up?token={token}").status_code == 403


@pytest.mark.parametrize(("name", "password"), [("", "correct horse"), ("Ada", "short"), ("Ada\u202e", "correct horse")])
def test_a_first_account_that_cannot_be_is_told_why(client: TestClient, sign_in: SignIn, name: str, password: str) -> None:
    token = sign_in.find_set_up_token()
    answer = client.post("/set-up", data={"token": token, "name": name, "password": password})
    assert answer.status_code == 400
    assert re.search(r'role="alert"[^>]*>Expected', answer.text)
    assert sign_in.find_set_up_token() == token


def test_a_guessed_set_up_link_shows_no_form(client: TestClient) -> None:
    answer = client.get("/set-up?token=guess")
    assert answer.status_code == 403
    assert "<form" not in answer.text
    assert 'href="/login"' in answer.text
