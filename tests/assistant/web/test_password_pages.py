import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from assistant.web.password_pages import PasswordPages
from assistant.web.passwords import hash_password
from assistant.web.sign_in import SignIn
from assistant.web.sign_in_pages import SignInPages
from assistant.web.wall import Wall
from feedback_db import people
from feedback_db.database import Database
from feedback_db.records import PersonId, Role
from tests.assistant.web.conftest import NOW, Clock

HASH = hash_password("correct horse")
ANN, ADA = PersonId("ann"), PersonId("ada")
OTHER_SITE = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
CHANGE = {"present": "correct horse", "password": "battery staple"}


@pytest.fixture
def client(db: Database, sign_in: SignIn, clock: Clock) -> TestClient:
    """Ann's browser, in which nobody is signed in."""
    with db.write() as tx:
        people.add_account(tx, ANN, name="Ann <b>", role=Role.REVIEWER, password_hash=HASH, now=NOW)
    pages = SignInPages(sign_in, welcomes_visitors=True, clock=clock).list_routes() + PasswordPages(sign_in, clock=clock).list_routes()
    wall = Wall(Starlette(routes=pages), sign_in, welcomes_visitors=True, clock=clock)
    return TestClient(wall, base_url="http://errata.example", follow_redirects=False)


@pytest.fixture
def ann(client: TestClient) -> TestClient:
    """The same browser, with Ann signed in."""
    client.post("/login", data={"name": "Ann <b>", "password": "correct horse"})
    return client


def test_somebody_changes_the_password_and_goes_on_with_another_cookie(ann: TestClient, sign_in: SignIn) -> None:
    before = ann.cookies["errata"]
    assert 'value="Ann &lt;b&gt;"' in ann.get("/password").text  # for the browser's own memory of passwords
    answer = ann.post("/password", data=CHANGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/password?changed")
    assert ann.cookies["errata"] != before
    assert sign_in.find(before, now=NOW) is None
    assert "holds from now on" in ann.get("/password?changed").text


@pytest.mark.parametrize(("present", "password", "status"), [("guessed", "battery staple", 403), ("correct horse", "short", 400)])
def test_what_cannot_be_is_told_on_the_page(ann: TestClient, present: str, password: str, status: int) -> None:
    answer = ann.post("/password", data={"present": present, "password": password})
    assert answer.status_code == status
    assert re.search(r'role="alert"[^>]*>Expected', answer.text)
    assert present not in answer.text


def test_the_sixth_wrong_password_waits(ann: TestClient) -> None:
    answers = [ann.post("/password", data={"present": "guessed", "password": "battery staple"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 800


def test_only_somebody_signed_in_with_an_account_changes_a_password(client: TestClient, sign_in: SignIn) -> None:
    for token in ("", sign_in.open_visitor(now=NOW).token):
        client.cookies.set("errata", token, domain="errata.example")
        for answer in (client.get("/password"), client.get("/password?changed"), client.post("/password", data=CHANGE)):
            assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/password")


def test_whoever_signs_in_for_it_comes_back_to_change_the_password(client: TestClient) -> None:
    answer = client.post("/login", data={"name": "Ann <b>", "password": "correct horse", "next": "/password"})
    assert answer.headers["location"] == "/password"


def test_a_link_chooses_a_password_and_signs_in_once(client: TestClient, sign_in: SignIn) -> None:
    token = sign_in.reset_password(ANN, actor=ADA, now=NOW)
    for _ in range(2):  # whoever only looks, such as a mail program, does not use it up
        shown = client.get(f"/password?token={token}")
    assert "Ann &lt;b&gt;" in shown.text
    assert client.post("/password", data={"token": token, "password": "short"}).status_code == 400
    assert client.post("/password", data={"token": token, "password": "battery staple"}).status_code == 303
    found = sign_in.find(client.cookies["errata"], now=NOW)
    assert found is not None
    assert found.id == ANN
    client.cookies.clear()
    again = client.post("/password", data={"token": token, "password": "mine now, says Eve"})
    assert (again.status_code, "errata" in client.cookies) == (403, False)
    gone = client.get(f"/password?token={token}")
    assert gone.status_code == 403
    assert "<form" not in gone.text


def test_another_sites_request_changes_no_password(ann: TestClient, sign_in: SignIn) -> None:
    token = sign_in.find(ann.cookies["errata"], now=NOW)
    assert token is not None
    assert ann.post("/password", data=CHANGE, headers=OTHER_SITE).status_code == 403
    link = sign_in.reset_password(ANN, actor=ADA, now=NOW)
    assert ann.post("/password", data={"token": link, "password": "battery staple"}, headers=OTHER_SITE).status_code == 403
    assert sign_in.find_by_link(link, now=NOW) is not None


def test_a_link_is_opened_from_a_mail_on_another_site(client: TestClient, sign_in: SignIn) -> None:
    link = sign_in.reset_password(ANN, actor=ADA, now=NOW)
    assert client.get(f"/password?token={link}", headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_what_a_link_holds_is_text_on_the_page(client: TestClient) -> None:
    answer = client.get("/password", params={"token": '"><script>alert(1)</script>'})
    assert answer.status_code == 403
    assert "<script>" not in answer.text
