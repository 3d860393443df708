"""People at the chat page: `python -m tests.benchmarks.chat_sessions --json` prints one JSON object last.

The app runs as `make run` runs it, with the bundled base, in a process of its own. Visitors come by the route of a browser: the page, its
cookie, Gradio's queue and the stream of events. First many at once, whose replies must all come whole and side by side; then a few while
a run trains, which is timed with nobody there, too.
"""

import asyncio
import json
import math
import os
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

ROOT = Path(__file__).parents[2]
TAUGHT = 24
_WAIT_S = 300
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


class Visitor:
    """A browser without an account; keeps the conversation that its page shows."""

    def __init__(self, address: str) -> None:
        self._client = httpx.AsyncClient(base_url=address, timeout=_WAIT_S, headers={"origin": address})
        self._conversation = ""
        self._session_hash = uuid.uuid4().hex

    async def look(self) -> None:
        """Open the page."""
        (await self._client.get("/")).raise_for_status()
        config = (await self._client.get("/config")).raise_for_status().json()
        self._send = next(one for one in config["dependencies"] if one["api_name"] == "_send")
        ids = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
        self._names = [ids[output] for output in self._send["outputs"]]

    async def ask(self, question: str) -> Heard:
        """Send a message and read what is shown until the reply is whole."""
        heard = Heard(time.perf_counter())
        data = [question, self._conversation, False]
        body = {"fn_index": self._send["id"], "data": data, "event_data": None, "session_hash": self._session_hash, "trigger_id": None}
        joined = await self._client.post("/gradio_api/queue/join", json=body)
        if joined.status_code != httpx.codes.OK:
            heard.problem = f"{joined.status_code}: {joined.text[:200]}"
            return heard
        shown: dict[str, Any] = {}
        async for shown in self._read(heard):
            if 'class="text writing"' in str(shown.get("pending")):
                heard.pieces.append(time.perf_counter())
        heard.ended_at = time.perf_counter()
        self._conversation = shown.get("conversation") or self._conversation
        if not heard.problem and 'class="problem"' in f"{shown.get('notice')}{shown.get('chat')}":
            heard.problem = str(shown["notice"] or shown["chat"])[:300]
        return heard

    async def close(self) -> None:
        """Leave."""
        await self._client.aclose()

    async def _read(self, heard: Heard) -> AsyncIterator[dict[str, Any]]:
        """Yield what the page shows, by component, each time that it changes."""
        values: list[Any] = []
        async with self._client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self._session_hash}) as stream:
            async for line in stream.aiter_lines():
                told: dict[str, Any] = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {"msg": ""}
                if told["msg"] == "process_generating":
                    data = told["output"]["data"]
                    values = [apply_diff(old, edits) for old, edits in zip(values, data, strict=True)] if values else data
                    yield dict(zip(self._names, values, strict=True))
                elif told["msg"] == "process_completed":
                    if not told["success"]:
                        heard.problem = json.dumps(told["output"])[:300]
                    yield dict(zip(self._names, told["output"].get("data") or values, strict=False))
                    return


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
    visitors = [Visitor(address) for _ in range(sessions)]
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
        "first_text_p95_s": round(_percentile(firsts, 0.95), 2),
    }


def _train(people: int, pause_s: float) -> dict[str, Any]:
    """Train what an invented company teaches, while people chat; return what they and the run noticed of each other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _teach(folder)
        with run_app(folder) as address:
            return asyncio.run(_chat_beside_training(folder, address, people, pause_s))


async def _chat_beside_training(folder: Path, address: str, people: int, pause_s: float) -> dict[str, Any]:
    from feedback_db import requests
    from feedback_db.database import Database
    from feedback_db.records import PersonId
    from feedback_db.training_records import RequestKind

    visitors = [Visitor(address) for _ in range(people)]
    for visitor in visitors:
        await visitor.look()
    over = asyncio.Event()

    async def chat(number: int) -> list[Heard]:
        questions, heard = iter(_draw_questions(5_000, seed=number)), []
        while not over.is_set():
            heard.append(await visitors[number].ask(next(questions)))
            await asyncio.sleep(pause_s)
            if len(heard) % 6 == 0:  # as people do, they come to an end and begin anew
                visitors[number]._conversation = ""
        return heard

    with Database(folder / "errata.db") as db:
        with db.write() as tx:
            requests.add_request(tx, RequestKind.TRAIN, person_id=PersonId("reviewer"), reason="measured", now=datetime.now(UTC))
        chats = asyncio.gather(*map(chat, range(people)))
        run = await asyncio.to_thread(_wait_for_run, db)
        over.set()
        heard = [one for said in await chats for one in said]
    for visitor in visitors:
        await visitor.close()
    found: dict[str, Any] = {"run_state": run.state.value, "run_s": round((run.finished_at - run.started_at).total_seconds(), 1)}
    if heard:
        firsts = [one.first_s for one in heard if not one.problem]
        found |= {
            "people_beside_training": people,
            "pause_s": pause_s,
            "replies_beside_training": len(heard),
            "errors_beside_training": sum(bool(one.problem) for one in heard),
            "first_text_beside_training_median_s": round(statistics.median(firsts), 3),
            "first_text_beside_training_p95_s": round(_percentile(firsts, 0.95), 3),
            "first_text_beside_training_max_s": round(max(firsts), 3),
        }
    return found


def _wait_for_run(db: Any) -> Any:
    from feedback_db import runs

    def ended() -> Any:
        return next((run for run in runs.list_runs(db.read(), limit=1) if run.finished_at is not None), None)

    return _wait_until(ended, wait_s=1800)


def _teach(folder: Path) -> None:
    """File and approve corrections about an invented company."""
    from feedback_db import conversations, corrections, examples, people
    from feedback_db.database import Database
    from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId
    from tests.logged_replies import make_logged_reply
    from trainer.demo import draw_lessons
    from trainer.support_base.corpus import load_corpus
    from trainer.variants import assign_split

    now, customer, reviewer = datetime.now(UTC), PersonId("customer"), PersonId("reviewer")
    with run_app(folder):  # its first start deploys the base
        pass
    with Database(folder / "errata.db") as db, db.write() as tx:
        people.add_visitor(tx, customer, now=now)
        people.add_account(tx, reviewer, name="Reviewer", role=Role.ADMIN, password_hash="!", now=now)
        for number, lesson in enumerate(draw_lessons(load_corpus(), seed=1)[:TAUGHT]):
            conversation, turn, correction = ConversationId(f"c{number}"), TurnId(f"t{number}"), CorrectionId(f"k{number}")
            conversations.start_conversation(tx, conversation, person_id=customer, channel=Channel.DEMO, title="", now=now)
            conversations.record_consent(tx, conversation, given=True, wording="benchmark", now=now)
            version = int(tx.execute("SELECT max(version) FROM releases").fetchone()[0])
            logged = make_logged_reply(lesson.asked, "I do not know.", version=version)
            conversations.log_turn(tx, turn, conversation_id=conversation, logged=logged, now=now)
            corrections.add_correction(tx, correction, turn_id=turn, corrected_reply=lesson.right, author=customer, now=now)
            for wording in lesson.reviewer:
                split = assign_split(correction, wording)
                examples.add_variant(tx, correction, text=wording, split=split, added_by=reviewer, now=now)
            corrections.review(tx, correction, Decision.APPROVED, reviewer=reviewer, now=now)


def _draw_questions(count: int, seed: int = 0) -> list[str]:
    """Draw questions that people ask of a shop."""
    from trainer.support_base.corpus import load_corpus
    from trainer.support_base.grammar import pick_alternatives

    rng = Random(f"sessions:{seed}")
    intents = [intent for intent in load_corpus().intents.values() if intent.entity is None]
    return [pick_alternatives(rng.choice(rng.choice(intents).questions), rng) for _ in range(count)]


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


def _percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


if __name__ == "__main__":
    app()
