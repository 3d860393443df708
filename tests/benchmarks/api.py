"""What the API costs: `python -m tests.benchmarks.api --json` prints one JSON object last.

The same prompts, at the same time, asked of the engine itself and over HTTP, in turn: streamed by a client that only reads, with 64 tokens
forced. The overhead is what is missing of the engine's tokens a second. Then a thousand short requests of 32 clients, each of which tries
again as politely as it is told to: all must end, and what the clients were told that they used must be what the memory holds.
"""

import asyncio
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx2 as httpx
import typer
from rich.console import Console

from assistant.libraries import prepare_libraries

app = typer.Typer(add_completion=False)
_console = Console(stderr=True)
TOKENS = 64
PEOPLE = 16
CLIENTS = 32
RETRIES = 3


@app.command()
def measure(
    trials: Annotated[int, typer.Option(min=2, help="How many times each side is measured.")] = 7,
    requests: Annotated[int, typer.Option(min=CLIENTS, help="How many requests of the crowd.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Measure the overhead with both models, and let a crowd ask."""
    prepare_libraries()
    from assistant.settings import BUNDLED_BASE
    from tests.benchmarks.training import build_large

    found: dict[str, Any] = {"tokens": TOKENS, "people": PEOPLE, "trials": trials}
    with tempfile.TemporaryDirectory() as folder:
        for model, base in (("bundled", None), ("large", str(build_large(Path(folder) / "large", BUNDLED_BASE)))):
            found |= {
                f"{model}_{name}": value for name, value in _measure_model(base, Path(folder) / f"data {model}", trials, requests).items()
            }
            _console.print({name: value for name, value in found.items() if name.startswith(model)})
    print(json.dumps(found)) if as_json else _console.print(found)


def _measure_model(base: str | None, data_folder: Path, trials: int, requests: int) -> dict[str, Any]:
    from assistant.settings import Settings
    from errata import open_site
    from feedback_db.api_keys import Scope
    from tests.served import serve

    settings = Settings(base=base, device="cpu", data_folder=data_folder, max_reply_tokens=TOKENS, kept_prefix_mb=0)
    with open_site(settings) as site, serve(site.app) as address:
        live = site.errata.live
        live._batcher._ends = frozenset()  # nothing ends a reply early
        key = site.keys.make("benchmark", {Scope.CHAT}, actor=_add_admin(site), now=datetime.now(UTC))[1]
        crowd = Crowd(f"{address}/v1/chat/completions", key)
        sides: dict[str, Callable[[list[str]], float]] = {"engine": lambda asked: _ask_engine(site, asked), "api": crowd.stream}
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for trial in range(trials + 1):
            asked = [f"Question {trial} of {person}: where is my parcel?" for person in range(PEOPLE)]
            for name in sides if trial % 2 else reversed(sides):
                seconds = sides[name](asked)
                if trial:  # the first is to warm up
                    rates[name].append(PEOPLE * TOKENS / seconds)
        ratios = [api / engine for api, engine in zip(rates["api"], rates["engine"], strict=True)]
        return {
            "engine_tokens_per_s": round(statistics.median(rates["engine"]), 1),
            "api_tokens_per_s": round(statistics.median(rates["api"]), 1),
            "overhead": round(1 - statistics.median(ratios), 4),
            "overhead_range": [round(1 - max(ratios), 4), round(1 - min(ratios), 4)],
            **(crowd.ask_many(site, requests) if base is None else {}),
        }


class Crowd:
    """Clients that ask over HTTP, all at once."""

    def __init__(self, address: str, key: str) -> None:
        self.address, self.headers = address, {"authorization": f"Bearer {key}"}

    def stream(self, asked: list[str]) -> float:
        """Have each question answered as a stream; return how long all of them took, in seconds."""
        return asyncio.run(self._stream_all(asked))

    def ask_many(self, site: Any, requests: int) -> dict[str, Any]:
        """Have a crowd ask as many times in all; return how it went, and whether what it used is what the memory holds."""
        before = _sum_usage(site)
        started = time.perf_counter()
        answers = asyncio.run(self._ask_many(requests))
        seconds = time.perf_counter() - started
        told = [sum(one["usage"][name] for one, _ in answers) for name in ("prompt_tokens", "completion_tokens")]
        held = [after - earlier for after, earlier in zip(_sum_usage(site), before, strict=True)]
        return {
            "requests": len(answers),
            "clients": CLIENTS,
            "crowd_s": round(seconds, 1),
            "most_retries": max(tries for _, tries in answers),
            "usage_told": told,
            "usage_held": held[:2],
            "turns_held": held[2],
            "usage_is_the_same": told == held[:2] and held[2] == len(answers),
        }

    async def _stream_all(self, asked: list[str]) -> float:
        async with httpx.AsyncClient(headers=self.headers, timeout=600) as client:
            started = time.perf_counter()
            await asyncio.gather(*(self._stream(client, question) for question in asked))
            return time.perf_counter() - started

    async def _stream(self, client: httpx.AsyncClient, question: str) -> None:
        body = {**_make_body(question), "stream": True, "stream_options": {"include_usage": True}}
        used = 0
        async with client.stream("POST", self.address, json=body) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {") and '"usage"' in line:
                    used = json.loads(line.removeprefix("data: "))["usage"]["completion_tokens"]
        assert used == TOKENS, f"expected {TOKENS} tokens, found {used}"

    async def _ask_many(self, requests: int) -> list[tuple[dict[str, Any], int]]:
        numbers = iter(range(requests))
        async with httpx.AsyncClient(headers=self.headers, timeout=600, limits=httpx.Limits(max_connections=CLIENTS)) as client:

            async def ask_on() -> list[tuple[dict[str, Any], int]]:
                return [await self._ask(client, number) for number in numbers]

            return [answer for answers in await asyncio.gather(*(ask_on() for _ in range(CLIENTS))) for answer in answers]

    async def _ask(self, client: httpx.AsyncClient, number: int) -> tuple[dict[str, Any], int]:
        body = {**_make_body(f"Question {number}: how long does delivery take?"), "max_tokens": 8, "user": f"u{number % 100}"}
        for tries in range(RETRIES + 1):
            answer = await client.post(self.address, json=body)
            if answer.status_code == httpx.codes.OK:
                return answer.json(), tries
            assert answer.status_code in {429, 503}, answer.text
            await asyncio.sleep(float(answer.headers["retry-after"]))
        raise AssertionError(f"request {number} was not answered within {RETRIES} retries")


def _ask_engine(site: Any, asked: list[str]) -> float:
    """Ask the engine itself, each question in a thread of its own."""
    from assistant.chat import build_prompt, find_served, read_sampling

    errata = site.errata
    release = find_served(errata.db, errata.live)

    def ask(question: str) -> None:
        messages = build_prompt(errata.live, release.system_message, [], question, max_tokens=TOKENS)
        reply = errata.live.stream(messages, read_sampling(release))
        for _ in reply:
            pass
        assert reply.outcome is not None
        assert reply.outcome.reply_tokens == TOKENS

    threads = [threading.Thread(target=ask, args=[question]) for question in asked]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def _make_body(question: str) -> dict[str, Any]:
    return {"model": "support", "messages": [{"role": "user", "content": question}]}


def _sum_usage(site: Any) -> list[int]:
    row = site.errata.db.read().execute("SELECT sum(prompt_tokens), sum(reply_tokens), count(*) FROM turns").fetchone()
    return [int(value or 0) for value in row]


def _add_admin(site: Any) -> Any:
    from feedback_db import people
    from feedback_db.records import PersonId, Role

    with site.errata.db.write() as tx:
        return people.add_account(tx, PersonId("ada"), name="ada", role=Role.ADMIN, password_hash="x", now=datetime.now(UTC)).id


if __name__ == "__main__":
    app()
