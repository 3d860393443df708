"""What the API costs: `python -m tests.benchmarks.api --json` prints one JSON object last.

The same prompts, at the same time, asked of the engine itself and over HTTP, in turn: streamed by clients of another process that only
read, with 64 tokens forced. The overhead is what is missing of the engine's tokens a second. Then a thousand short requests of 32 clients,
each of which tries again as politely as it is told to: all must end, and what the clients were told that they used must be what the memory
holds.
"""

import asyncio
import json
import multiprocessing
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

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
    models: Annotated[str, typer.Option(help="Of bundled and large.")] = "bundled,large",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Measure the overhead with both models, and let a crowd ask."""
    prepare_libraries()
    from assistant.settings import BUNDLED_BASE
    from tests.benchmarks.training import build_large

    found: dict[str, Any] = {"tokens": TOKENS, "people": PEOPLE, "trials": trials}
    with tempfile.TemporaryDirectory() as folder:
        for model in models.split(","):
            base = None if model == "bundled" else str(build_large(Path(folder) / "large", BUNDLED_BASE))
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
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as streamer, open_site(settings) as site, serve(site.app) as address:
        live = site.errata.live
        live._batcher._ends = frozenset()  # nothing ends a reply early
        key = site.keys.make("benchmark", {Scope.CHAT}, actor=_add_admin(site), now=datetime.now(UTC))[1]
        crowd = Crowd(f"{address}/v1/chat/completions", key, streamer)
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

    def __init__(self, address: str, key: str, streamer: ProcessPoolExecutor) -> None:
        self.address, self.headers, self._streamer = address, {"authorization": f"Bearer {key}"}, streamer

    def stream(self, asked: list[str]) -> float:
        """Have each question answered as a stream, by clients in another process; return how long all of them took, in seconds."""
        bodies = [{**_make_body(question), "stream": True, "stream_options": {"include_usage": True}} for question in asked]
        seconds, used = self._streamer.submit(stream_all, self.address, self.headers["authorization"], bodies).result()
        assert used == [TOKENS] * len(asked), f"expected {TOKENS} tokens each, found {used}"
        return seconds

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


def stream_all(address: str, authorization: str, bodies: list[dict[str, Any]]) -> tuple[float, list[int]]:
    """Send requests at once and read all that comes; return the seconds, and how many tokens each was told that it used.

    Sockets and nothing else: what a client does with the text is no cost of the API.
    """
    return asyncio.run(_stream_all(address, authorization, bodies))


async def _stream_all(address: str, authorization: str, bodies: list[dict[str, Any]]) -> tuple[float, list[int]]:
    started = time.perf_counter()
    heard = await asyncio.gather(*(_stream(urlsplit(address), authorization, json.dumps(body).encode()) for body in bodies))
    seconds = time.perf_counter() - started
    return seconds, [int(found[-1]) if (found := re.findall(rb'"completion_tokens":(\d+)', one)) else 0 for one in heard]


async def _stream(address: SplitResult, authorization: str, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST {address.path} HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: {authorization}\r\nconnection: close\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    heard = await reader.read()
    writer.close()
    return heard


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
