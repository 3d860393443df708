"""People at the chat page: `python -m tests.benchmarks.chat_sessions --json` prints one JSON object last.

The app runs as `make run` runs it, with the bundled base, in a process of its own. Visitors come by the route of a browser: the page, its
cookie, Gradio's queue and the stream of events. First many at once, whose replies must all come whole and side by side; then a few while
a run trains, which is timed with nobody there, too.
"""

import asyncio
import json
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Annotated, Any

import httpx
import typer
from gradio_client.utils import apply_diff
from rich.console import Console

from tests.benchmarks.percentile import find_percentile

ROOT = Path(__file__).parents[2]
_WAIT_S = 300
_DRAWN = re.compile(r'data-conversation="(\w+)" data-mark="(\w+)"')  # a reply on its way
app = typer.Typer(add_completion=False)
_console = Console(stderr=True, width=140)


@dataclass(slots=True)
class Heard:
    """When one question was sent and the pieces of its reply came, in seconds of one clock; `problem` is what went wrong, "" nothing."""

    asked_at: float
    pieces: list[float] = field(default_factory=list)
    ended_at: float = math.inf
    problem: str = ""

    @property
    def first_s(self) -> float:
        """The time to the first piece of text; a short reply may come whole."""
        return (self.pieces[0] if self.pieces else self.ended_at) - self.asked_at


class Browser:
    """Somebody at a page, with the cookie of an account or without; keeps the conversation that the chat page shows."""

    def __init__(self, address: str, page: str = "", token: str | None = None) -> None:
        cookies = {} if token is None else {"errata": token}
        self._client = httpx.AsyncClient(base_url=f"{address}{page}", timeout=_WAIT_S, headers={"origin": address}, cookies=cookies)
        self._conversation = ""
        self._session_hash = uuid.uuid4().hex

    async def look(self) -> None:
        """Open the page."""
        (await self._client.get("/")).raise_for_status()
        config = (await self._client.get("/config")).raise_for_status().json()
        self._functions = {one["api_name"]: one for one in config["dependencies"]}
        self._components = {one["id"]: one["props"] for one in config["components"]}

    async def ask(self, question: str) -> Heard:
        """Send a message on the chat page and read what is shown until the reply is whole."""
        heard = Heard(time.perf_counter())
        shown: dict[str, Any] = {}
        try:
            shown = await self._call_to_end("_send", [question, self._conversation, False])
            self._conversation = shown["conversation"] if isinstance(shown["conversation"], str) else self._conversation
            if (drawn := _DRAWN.search(str(shown["pending"]))) is not None:  # as its script does
                async for shown in self._call("_follow", [], {"conversation": drawn[1], "mark": drawn[2]}):
                    if 'class="text writing"' in str(shown.get("pending")):
                        heard.pieces.append(time.perf_counter())
                    heard.problem = heard.problem or _find_problem(shown)
                shown = await self._call_to_end("_show_end", [self._conversation])
        except RefusedError as refused:
            heard.problem = str(refused)
        heard.ended_at = time.perf_counter()
        heard.problem = heard.problem or _find_problem(shown)
        return heard

    async def train(self) -> None:
        """Press "Train now" on the admin page, with the recipe as it stands there."""
        fields = [self._components[field].get("value") for field in self._functions["_ask_train"]["inputs"]]
        await self._call_to_end("_ask_train", fields)

    def begin_anew(self) -> None:
        """Begin a new conversation with the next question."""
        self._conversation = ""

    async def close(self) -> None:
        """Leave."""
        await self._client.aclose()

    async def _call_to_end(self, name: str, data: list[Any]) -> dict[str, Any]:
        """Call a function of the page; return what is shown at the end."""
        shown: dict[str, Any] = {}
        async for one in self._call(name, data):
            shown = one
        return shown

    async def _call(self, name: str, data: list[Any], event: dict[str, Any] | None = None) -> AsyncIterator[dict[str, Any]]:
        """Call a function of the page; yield what is shown, by component, each time that it changes.

        Raises:
            RefusedError: the site does not do it.
        """
        function = self._functions[name]
        body = {"fn_index": function["id"], "data": data, "event_data": event, "session_hash": self._session_hash, "trigger_id": None}
        joined = await self._client.post("/gradio_api/queue/join", json=body)
        if joined.status_code != httpx.codes.OK:
            raise RefusedError(f"{joined.status_code}: {joined.text[:200]}")
        names = [self._components[output].get("elem_id") for output in function["outputs"]]
        values: list[Any] = []
        async with self._client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self._session_hash}) as stream:
            async for line in stream.aiter_lines():
                told: dict[str, Any] = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {"msg": ""}
                if told["msg"] == "process_generating":
                    data = told["output"]["data"]
                    values = [apply_diff(old, edits) for old, edits in zip(values, data, strict=True)] if values else data
                    yield dict(zip(names, values, strict=True))
                elif told["msg"] == "process_completed":
                    if not told["success"]:
                        raise RefusedError(json.dumps(told["output"])[:300])
                    yield dict(zip(names, told["output"].get("data") or values, strict=False))
                    return


class RefusedError(Exception):
    """The site did not do what a browser asked for."""


@app.command()
def measure(
    sessions: Annotated[int, typer.Option(min=2, max=60, help="How many chat at once.")] = 50,
    turns: Annotated[int, typer.Option(min=1, help="How many questions each of them asks.")] = 2,
    people: Annotated[int, typer.Option(min=1, help="How many chat while a run trains.")] = 4,
    pause_s: Annotated[float, typer.Option(min=0, help="What they read an answer for, before they ask on.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Measure both."""
    found: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder, run_app(Path(folder)) as address:
        found |= asyncio.run(_chat_at_once(address, sessions, turns))
    alone_s = _train(0, pause_s)["run_s"]
    found |= _train(people, pause_s)
    found |= {"run_alone_s": alone_s, "run_slowdown": round(found["run_s"] / alone_s, 2)}
    if as_json:
        print(json.dumps(found))
    else:
        _console.print(found)


@contextmanager
def run_app(folder: Path) -> Iterator[str]:
    """Run the app on a data folder; yield its address once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"ERRATA_DATA_FOLDER": str(folder), "ERRATA_PORT": str(port), "ERRATA_REPLIES_WAITING": "64"}
    with (folder / "app.log").open("w") as log:
        running = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_until(lambda: _answers(address) or running.poll() is not None)
            if running.poll() is not None:
                raise RuntimeError((folder / "app.log").read_text())
            yield address
        finally:
            running.terminate()
            running.wait(timeout=60)


async def _chat_at_once(address: str, sessions: int, turns: int) -> dict[str, Any]:
    """Have all sessions ask together, and each ask on as soon as it is answered."""
    visitors = [Browser(address) for _ in range(sessions)]
    questions = _draw_questions(sessions * turns)
    for visitor in visitors:
        await visitor.look()

    async def chat(number: int) -> list[Heard]:
        return [await visitors[number].ask(questions[number * turns + turn]) for turn in range(turns)]

    started = time.perf_counter()
    heard = [one for said in await asyncio.gather(*map(chat, range(sessions))) for one in said]
    took = time.perf_counter() - started
    for visitor in visitors:
        await visitor.close()
    problems = Counter(one.problem for one in heard if one.problem)
    in_order = sorted((moment, number) for number, one in enumerate(heard) for moment in one.pieces)
    crossings = sum(one[1] != other[1] for one, other in pairwise(in_order))
    firsts = [one.first_s for one in heard if not one.problem]
    return {
        "sessions": sessions,
        "replies": len(heard),
        "errors": sum(problems.values()),
        "problems": dict(problems),
        "seconds": round(took, 2),
        "most_streams_at_once": _count_overlaps(heard),
        "pieces": len(in_order),
        "pieces_followed_by_another_streams": round(crossings / max(1, len(in_order) - 1), 3),
        "first_text_median_s": round(statistics.median(firsts), 2),
        "first_text_p95_s": round(find_percentile(firsts, 0.95), 2),
    }


def _train(people: int, pause_s: float) -> dict[str, Any]:
    """Train what an invented company teaches, while people chat; return what they and the run noticed of each other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token = _teach(folder)
        with run_app(folder) as address:
            return asyncio.run(_chat_beside_training(folder, address, token, people, pause_s))


async def _chat_beside_training(folder: Path, address: str, token: str, people: int, pause_s: float) -> dict[str, Any]:
    visitors = [Browser(address) for _ in range(people)]
    admin = Browser(address, "/admin", token)
    for browser in (*visitors, admin):
        await browser.look()
    over = asyncio.Event()

    async def chat(number: int) -> list[Heard]:
        questions, heard = iter(_draw_questions(5_000, seed=number)), list[Heard]()
        while not over.is_set():
            heard.append(await visitors[number].ask(next(questions)))
            await asyncio.sleep(pause_s)
            if len(heard) % 6 == 0:  # as people do, they come to an end and begin anew
                visitors[number].begin_anew()
        return heard

    await admin.train()
    chats = asyncio.gather(*map(chat, range(people)))
    run = await asyncio.to_thread(_wait_for_run, folder)
    over.set()
    heard = [one for said in await chats for one in said]
    for browser in (*visitors, admin):
        await browser.close()
    found: dict[str, Any] = {"run_state": run.state.value, "run_s": round((run.finished_at - run.started_at).total_seconds(), 1)}
    if heard:
        firsts = [one.first_s for one in heard if not one.problem]
        found |= {
            "people_beside_training": people,
            "pause_s": pause_s,
            "replies_beside_training": len(heard),
            "errors_beside_training": sum(bool(one.problem) for one in heard),
            "problems_beside_training": dict(Counter(one.problem for one in heard if one.problem)),
            "first_text_beside_training_median_s": round(statistics.median(firsts), 3),
            "first_text_beside_training_p95_s": round(find_percentile(firsts, 0.95), 3),
            "first_text_beside_training_max_s": round(max(firsts), 3),
        }
    return found


def _wait_for_run(folder: Path) -> Any:
    from feedback_db import runs
    from feedback_db.database import open_reader

    def find_ended() -> Any:
        with open_reader(folder / "errata.db") as reader:
            return next((run for run in runs.list_runs(reader, limit=1) if run.finished_at is not None), None)

    return _wait_until(find_ended, wait_s=1800)


def _teach(folder: Path) -> str:
    """File and approve corrections about an invented company; return what an admin's browser is known by."""
    from assistant.settings import Settings
    from assistant.web.sign_in import SignIn
    from feedback_db import conversations, corrections, examples, people, releases
    from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId
    from tests.logged_replies import make_logged_reply
    from trainer.demo import draw_lessons
    from trainer.memory import open_memory
    from trainer.support_base.corpus import load_corpus
    from trainer.variants import assign_split

    now, customer, reviewer = datetime.now(UTC), PersonId("customer"), PersonId("reviewer")
    with run_app(folder):  # its first start deploys the base
        pass
    with open_memory(Settings(data_folder=folder)) as (db, audit), db.write() as tx:
        people.add_visitor(tx, customer, now=now)
        admin = people.add_account(tx, reviewer, name="Reviewer", role=Role.ADMIN, password_hash="!", now=now)
        (release, *_) = releases.list_releases(tx)
        for number, lesson in enumerate(draw_lessons(load_corpus(), seed=1)):
            conversation, turn, correction = ConversationId(f"c{number}"), TurnId(f"t{number}"), CorrectionId(f"k{number}")
            conversations.start_conversation(tx, conversation, person_id=customer, channel=Channel.DEMO, title="", now=now)
            conversations.record_consent(tx, conversation, given=True, wording="benchmark", now=now)
            logged = make_logged_reply(lesson.asked, "I do not know.", version=release.version)
            conversations.log_turn(tx, turn, conversation_id=conversation, logged=logged, now=now)
            corrections.add_correction(tx, correction, turn_id=turn, corrected_reply=lesson.right, author=customer, now=now)
            for wording in lesson.reviewer:
                split = assign_split(correction, wording)
                examples.add_variant(tx, correction, text=wording, split=split, added_by=reviewer, now=now)
            corrections.review(tx, correction, Decision.APPROVED, reviewer=reviewer, now=now)
        return SignIn(db, audit).open_account(tx, admin, now=now).token


def _draw_questions(count: int, seed: int = 0) -> list[str]:
    """Draw questions that people ask of a shop."""
    from trainer.support_base.corpus import load_corpus
    from trainer.support_base.grammar import pick_alternatives

    rng = Random(f"sessions:{seed}")
    intents = [intent for intent in load_corpus().intents.values() if intent.entity is None]
    return [pick_alternatives(rng.choice(rng.choice(intents).questions), rng) for _ in range(count)]


def _find_problem(shown: dict[str, Any]) -> str:
    """Return what a page says that went wrong, "" where it says nothing of the kind."""
    return next((str(shown[part])[:300] for part in ("notice", "chat") if 'class="problem"' in str(shown.get(part))), "")


def _count_overlaps(heard: list[Heard]) -> int:
    """Return how many replies were coming in at one moment."""
    edges = [(one.pieces[0], 1) for one in heard if one.pieces] + [(one.ended_at, -1) for one in heard if one.pieces]
    most = now = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _wait_until(find: Any, wait_s: float = 120) -> Any:
    """Return what a function finds as soon as that is something."""
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        if found := find():
            return found
        time.sleep(0.2)
    raise TimeoutError("expected an end, found none in time")


if __name__ == "__main__":
    app()
