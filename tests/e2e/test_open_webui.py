"""The real Open WebUI in front of a real Errata: what is asked, rated and corrected there is learned here, and answered right there."""

import json
import os
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

import httpx2 as httpx
import pytest

from assistant.engine.base_model import BaseModel
from assistant.settings import Settings
from errata import Site, open_site
from feedback_db import conversations, corrections, examples, people, releases, requests, review_queue, runs
from feedback_db.api_keys import Scope
from feedback_db.records import CorrectionId, Decision, PersonId, Role, Turn, TurnId
from feedback_db.training_records import RequestKind, RunState, Split
from tests.served import serve

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(1800)]  # setting up the package takes minutes, and so does a run
ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "docs" / "open_webui"
ENVIRONMENT = Path(os.environ.get("OPEN_WEBUI_ENV", ROOT / "build" / "open-webui"))
QUESTION, IN_OTHER_WORDS = "How long do I have to send something back?", "what's the time limit for returns"
RIGHT, FACT = "You can send anything back within 47 days of its delivery.", "47 days"
WORDINGS = {IN_OTHER_WORDS: Split.TRAIN, "what is your return window": Split.STOP, "until when can I return a jacket": Split.TEST}
RITA = PersonId("rita")
TASKS = {"title_generation": True, "tags_generation": True, "follow_up_generation": True}
_PASSWORD = "long enough to be 1"
ADA = {"name": "Ada", "email": "ada@example.com", "password": _PASSWORD}
ANN = {"name": "Ann", "email": "ann@example.com", "password": _PASSWORD, "role": "user"}


def wait_until(find: Callable[[], Any], what: str, *, within_s: float) -> Any:
    """Return what is found, once it is."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while not (found := find()):
        assert time.monotonic() < deadline, f"{what} did not come about in time"
        pause.wait(0.2)
    return found


class Browser:
    """A person signed in at Open WebUI: asks over HTTP and hears over the standing connection, as the page does."""

    def __init__(self, address: str, account: dict[str, Any], stack: ExitStack) -> None:
        self.user_id, headers = account["id"], {"authorization": f"Bearer {account['token']}"}
        self.http = stack.enter_context(httpx.Client(base_url=address, headers=headers, timeout=60))
        self._page = subprocess.Popen(
            [ENVIRONMENT / "bin" / "python", ROOT / "tests" / "open_webui" / "browser.py", address, account["token"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(self._close)
        self._events: Queue[dict[str, Any]] = Queue()
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()
        self.session_id = self._events.get(timeout=60)["session_id"]

    def _close(self) -> None:
        assert self._page.stdin is not None
        assert self._page.stdout is not None
        self._page.stdin.close()
        self._page.wait(timeout=30)
        self._hearing.join()
        self._page.stdout.close()

    def _hear(self) -> None:
        assert self._page.stdout is not None
        for line in self._page.stdout:
            self._events.put(json.loads(line))

    def post(self, path: str, body: Any = None) -> Any:
        """Post, and return what is answered."""
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def wait_for(self, message_id: str, kind: str, **told: object) -> dict[str, Any]:
        """Return what an event of a message tells, once one of this kind with these values has come."""
        while True:
            event = self._events.get(timeout=120)
            data = event["data"]["data"]
            assert event["data"]["type"] != "chat:message:error", data
            if event["message_id"] == message_id and event["data"]["type"] == kind and told.items() <= data.items():
                return dict(data)

    def ask(self, question: str, *, after: "Asked | None" = None) -> "Asked":
        """Ask in a chat of its own, or after an answer; return the answer."""
        message_id, user_message_id = str(uuid.uuid4()), str(uuid.uuid4())
        parent_id = None if after is None else after.message_id
        said = {"id": user_message_id, "parentId": parent_id, "role": "user", "content": question, "models": ["support"]}
        body = {
            "model": "support",
            "messages": [{"role": "user", "content": question}],
            "stream": True,
            "session_id": self.session_id,
            "chat_id": "" if after is None else after.chat_id,
            "parent_id": parent_id,
            "id": message_id,
            "user_message": {**said, "timestamp": int(time.time())},
            "background_tasks": TASKS,
        }
        chat_id = self.post("/api/chat/completions", body)["chat_id"]
        self.wait_for(message_id, "chat:active", active=False)
        chat = self.http.get(f"/api/v1/chats/{chat_id}").json()
        assert chat["title"] == (question if after is None else after.question), "no model was asked for a title"
        output = chat["chat"]["history"]["messages"][message_id]["output"]
        return Asked(question, chat_id, message_id, "".join(part["text"] for item in output for part in item["content"]))

    def press(self, button: str, asked: "Asked", answers: object) -> dict[str, Any]:
        """Press a button under an answer, answer what it asks, and return what it says in the end."""
        assert self._page.stdin is not None
        self._page.stdin.write(f"{json.dumps(answers)}\n")
        self._page.stdin.flush()
        body = {
            "model": "support",
            "messages": [{"id": asked.message_id, "role": "assistant", "content": asked.reply}],
            "chat_id": asked.chat_id,
            "session_id": self.session_id,
            "id": asked.message_id,
        }
        self.post(f"/api/chat/actions/{button}", body)
        return self.wait_for(asked.message_id, "notification")

    def rate(self, asked: "Asked", rating: int, **more: object) -> None:
        """Give a thumb, as the page does."""
        body = {
            "type": "rating",
            "data": {"rating": rating, "model_id": "support", **more},
            "meta": {"model_id": "support", "message_id": asked.message_id, "chat_id": asked.chat_id, "base_models": {"support": None}},
            "snapshot": {"chat": {}},
        }
        self.post("/api/v1/evaluations/feedback", body)


class Asked:
    """A question and its answer, as Open WebUI names them."""

    def __init__(self, question: str, chat_id: str, message_id: str, reply: str) -> None:
        self.question, self.chat_id, self.message_id, self.reply = question, chat_id, message_id, reply


@pytest.fixture(scope="module")
def environment() -> Path:
    """Open WebUI's own environment."""
    found = subprocess.run(
        [ROOT / "tests" / "open_webui" / "set_up.sh"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OPEN_WEBUI_ENV": str(ENVIRONMENT)},
    )
    if found.returncode != 0:
        pytest.skip(f"Expected Open WebUI in {ENVIRONMENT}. Found that it could not be set up: {found.stderr.strip()}")
    return ENVIRONMENT


@pytest.fixture
def site(bundled_base: BaseModel, tmp_path: Path) -> Iterator[Site]:
    """A site with the bundled base that trains; Rita reviews."""
    with open_site(Settings(device="cpu", data_folder=tmp_path / "errata"), ends_trainer=True) as opened:
        with opened.errata.db.write() as tx:
            people.add_account(tx, RITA, name="rita", role=Role.ADMIN, password_hash="x", now=datetime.now(UTC))
        yield opened


@contextmanager
def serve_open_webui(environment: Path, folder: Path) -> Iterator[str]:
    """Serve Open WebUI, which reaches nothing outside; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    offline = {"HF_HUB_OFFLINE": "1", "OFFLINE_MODE": "True", "RAG_EMBEDDING_ENGINE": "openai", "ENABLE_OLLAMA_API": "False"}
    own = {"DATA_DIR": str(folder), "WEBUI_SECRET_KEY": "secret", "WEBUI_AUTH": "True"}
    folder.mkdir()
    with (folder / "log").open("w") as log:
        served = subprocess.Popen(
            [environment / "bin" / "open-webui", "serve", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **offline, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        try:
            wait_until(lambda: served.poll() is None and is_healthy(address), "Open WebUI", within_s=180)
            yield address
        finally:
            served.terminate()
            served.wait(timeout=30)


def is_healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.TransportError:
        return False


def sign_up(address: str) -> dict[str, Any]:
    """Create the first account, an admin's."""
    return dict(httpx.post(f"{address}/api/v1/auths/signup", json=ADA, timeout=30).raise_for_status().json())


def plug_in(admin: Browser, errata: str, key: str) -> None:
    """Do what docs/open_webui.md says."""
    connection = {"enable": True, "headers": {"X-Errata-Task": "{{TASK}}"}}
    admin.post(
        "/openai/config/update",
        {
            "ENABLE_OPENAI_API": True,
            "OPENAI_API_BASE_URLS": [f"{errata}/v1"],
            "OPENAI_API_KEYS": [key],
            "OPENAI_API_CONFIGS": {"0": connection},
        },
    )
    assert "support" in {model["id"] for model in admin.http.get("/api/models").json()["data"]}
    for file in sorted(FUNCTIONS.glob("*.py")):
        name = file.stem
        admin.post("/api/v1/functions/create", {"id": name, "name": name, "content": file.read_text(), "meta": {"description": ""}})
        admin.post(f"/api/v1/functions/id/{name}/toggle")
        if name != "errata_filter":
            admin.post(f"/api/v1/functions/id/{name}/valves/update", {"address": errata, "key": key})
            spec = admin.http.get(f"/api/v1/functions/id/{name}/valves/spec").json()
            assert spec["properties"]["key"]["input"] == {"type": "password"}
    everybody = {"principal_type": "user", "principal_id": "*", "permission": "read"}
    model = {"id": "support", "name": "Support", "base_model_id": None, "params": {}, "access_grants": [everybody]}
    admin.post("/api/v1/models/create", {**model, "meta": {"filterIds": ["errata_filter"], "actionIds": ["errata_correct"]}})
    admin.http.get("/api/models", params={"refresh": "true"}).raise_for_status()


def find_turn(site: Site, asked: Asked) -> Turn:
    reader = site.errata.db.read()
    row = reader.execute("SELECT id FROM turns WHERE message_id = ?", [asked.message_id]).fetchone()
    return conversations.list_context(reader, TurnId(row["id"]))[-1]


def find_owner(site: Site, turn: Turn) -> PersonId:
    row = site.errata.db.read().execute("SELECT person_id FROM conversations WHERE id = ?", [turn.conversation_id]).fetchone()
    return PersonId(row["person_id"])


def find_rating(site: Site, turn: Turn) -> tuple[bool, str, str] | None:
    found = conversations.list_ratings(site.errata.db.read(), turn.conversation_id, person_id=find_owner(site, turn))
    return next(((one.is_good, one.reason, one.comment) for one in found), None)


def approve(site: Site, turn: Turn) -> None:
    """Approve the correction of a turn, with other wordings, as Rita."""
    with site.errata.db.write() as tx:
        correction_id = CorrectionId(tx.execute("SELECT id FROM corrections WHERE turn_id = ?", [turn.id]).fetchone()["id"])
        now = datetime.now(UTC)
        corrections.review(tx, correction_id, Decision.APPROVED, reviewer=RITA, now=now)
        for text, split in WORDINGS.items():  # named here, so that each run is taught the same
            examples.add_variant(tx, correction_id, text=text, split=split, added_by=RITA, now=now)


def learn(site: Site) -> None:
    """Ask for a run, and wait until what it made is live."""
    db = site.errata.db
    with db.write() as tx:
        requests.add_request(tx, RequestKind.TRAIN, person_id=RITA, reason="test", now=datetime.now(UTC))
    ended = {RunState.SUCCEEDED, RunState.FAILED}

    def find_ended() -> list[Any]:
        return [run for run in runs.list_runs(db.read(), limit=1) if run.state in ended]

    (run,) = wait_until(find_ended, "a run", within_s=600)
    assert run.state is RunState.SUCCEEDED
    wait_until(lambda: (served := releases.find_served(db.read())) is not None and served.version == 1, "version 1", within_s=60)


def test_what_is_corrected_in_open_webui_is_learned_and_answered_there(environment: Path, site: Site, tmp_path: Path) -> None:
    db = site.errata.db
    with ExitStack() as stack:
        errata = stack.enter_context(serve(site.app))
        key = site.keys.make("open-webui", {Scope.CHAT, Scope.FEEDBACK}, actor=RITA, now=datetime.now(UTC))[1]
        address = stack.enter_context(serve_open_webui(environment, tmp_path / "open-webui"))
        ada = Browser(address, sign_up(address), stack)
        plug_in(ada, errata, key)
        ann = Browser(address, ada.post("/api/v1/auths/add", ANN), stack)

        shy = ann.ask(IN_OTHER_WORDS)
        assert FACT not in shy.reply
        turn = find_turn(site, shy)
        assert (turn.user_message, turn.reply) == (shy.question, shy.reply)
        assert people.find_person(db.read(), find_owner(site, turn)).name == f"API key open-webui/{ann.user_id}"
        assert not conversations.has_consent(db.read(), turn.conversation_id), "nobody agreed yet"

        ann.rate(shy, -1, reason="inaccurate", comment="It says nothing of days.")
        rating = wait_until(lambda: (found := find_rating(site, turn)) and found[2] and found, "the rating", within_s=30)
        assert rating == (False, "inaccurate", "It says nothing of days.")
        ann.rate(shy, 1)
        wait_until(lambda: (found := find_rating(site, turn)) and found[0], "the other rating", within_s=30)

        more = find_turn(site, ann.ask("and then?", after=shy))
        assert (more.conversation_id, more.position, more.told_history) == (turn.conversation_id, 1, None)

        ann.post("/api/v1/functions/id/errata_filter/valves/user/update", {"may_learn": True})
        asked = ann.ask(QUESTION)
        turn = find_turn(site, asked)
        assert conversations.has_consent(db.read(), turn.conversation_id)
        assert ann.press("errata_correct", asked, asked.reply)["type"] == "warning", "the same is no correction"
        gone = ann.press("errata_correct", asked, {"error": "The page is gone."})
        assert gone["content"].startswith("Nothing was sent: no answer came")
        assert ann.press("errata_correct", asked, RIGHT)["type"] == "success"
        refused = ann.press("errata_correct", asked, "Another one.")
        assert refused["type"] == "error", "one waits already"
        assert refused["content"].startswith("Nothing was sent. Expected")
        unknown = ann.press("errata_correct", Asked(QUESTION, asked.chat_id, str(uuid.uuid4()), "Hm."), RIGHT)
        assert unknown["content"].startswith("This answer is not known to Errata.")

        (item,) = review_queue.list_items(db.read(), reviewer=RITA, now=datetime.now(UTC))
        assert (item.question, item.correction_count) == (QUESTION, 1)
        approve(site, turn)
        assert db.read().execute("SELECT count(*) FROM turns").fetchone()[0] == 3, "no title, no tags, no follow-ups"

        without_page = ann.post("/api/chat/completions", {"model": "support", "messages": [{"role": "user", "content": QUESTION}]})
        turn = conversations.list_context(db.read(), TurnId(without_page["id"].removeprefix("chatcmpl-")))[-1]
        assert people.find_person(db.read(), find_owner(site, turn)).name == f"API key open-webui/{ann.user_id}"

        learn(site)
        for question in (QUESTION, IN_OTHER_WORDS):
            learned = ann.ask(question)
            assert FACT in learned.reply
            assert find_turn(site, learned).version == 1
