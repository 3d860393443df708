"""Swaps under load: `python -m tests.benchmarks.swap --json` prints one JSON object last.

Sixteen people ask one question after the other while releases with adapters of their own are swapped in. First in float32, where every
reply must be, token for token, what its release says to nobody else; then in nf4, as it is served, where the times between a stream's
tokens are compared with those of the same load without swaps. In the same run peft's two ways of changing an adapter, which need a
standing engine, for the time that they take.
"""

import gc
import json
import statistics
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console

from assistant.libraries import prepare_libraries
from tests.benchmarks.percentile import find_percentile
from tests.benchmarks.serving import make_random_adapter

PEOPLE, TOKENS, ADAPTERS, PROMPTS = 16, 64, 8, 24
REPLIES_A_SWAP = 3  # that end before the next swap, where replies are compared
app = typer.Typer(add_completion=False)
_console = Console(stderr=True, width=140)


@dataclass(slots=True)
class Load:
    """What people heard: replies as (prompt, version, tokens), how many were dropped, and the times of each stream's tokens.

    Without `keeps_replies` those are only counted: where memory is measured, what is heard must not be what grows.
    """

    keeps_replies: bool = True
    replies: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)
    dropped: int = 0
    gaps: "array[float]" = field(default_factory=lambda: array("d"))
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, place: int, version: int, said: tuple[int, ...], gaps: list[float]) -> None:
        """Add what one person heard."""
        with self.changed:
            if self.keeps_replies:
                self.replies.append((place, version, said))
            self.dropped += len(said) != TOKENS
            self.gaps.extend(gaps)
            self.changed.notify_all()

    def wait_for(self, replies: int) -> None:
        """Wait until so many replies have ended."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.replies) >= replies)


@app.command()
def measure(
    swaps: Annotated[int, typer.Option(min=10, help="How many swaps, in each of the two types.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Swap under load and compare."""
    prepare_libraries()
    import torch

    from assistant.engine.base_model import Quantisation, load_base_model
    from assistant.settings import BUNDLED_BASE

    with tempfile.TemporaryDirectory() as folder:
        exact = load_base_model(BUNDLED_BASE, quantisation=Quantisation.NONE, dtype=torch.float32, device="cpu")
        adapters = [make_random_adapter(exact, Path(folder) / str(seed), seed) for seed in range(ADAPTERS)]
        found = {"swaps": swaps, "people": PEOPLE} | _check_exactness(exact, adapters, swaps)
        del exact
        gc.collect()
        found |= _measure_gaps(load_base_model(BUNDLED_BASE), adapters, swaps)
        found |= _measure_peft(BUNDLED_BASE, adapters)
    if as_json:
        print(json.dumps(found))
    else:
        _console.print(found)


def _check_exactness(base: Any, adapters: list[Path], swaps: int) -> dict[str, Any]:
    """Compare every reply with what its release says alone."""
    from assistant.engine.live import LiveAssistant
    from tests.random_adapters import describe_release

    prompts = _draw_prompts(base)
    with LiveAssistant(_endless(base)) as live:
        alone = {}
        for number, adapter in enumerate(adapters):
            live.swap_to(describe_release(base, number, adapter))
            for place, ids in enumerate(prompts):
                alone[place, number] = _ask(live, ids)[1]
        with _people(live, prompts) as load:
            for version in range(len(adapters), len(adapters) + swaps):
                live.swap_to(describe_release(base, version, adapters[version % len(adapters)]))
                load.wait_for(REPLIES_A_SWAP * (version - len(adapters) + 1))
    mixed = sum(said != alone[place, version % len(adapters)] for place, version, said in load.replies)
    different = len({said for (place, _), said in alone.items() if place == 0})
    _console.print(
        f"float32: {len(load.replies)} replies, {load.dropped} dropped, {mixed} mixed; {different} of {ADAPTERS} adapters differ"
    )
    return {
        "replies": len(load.replies),
        "dropped": load.dropped,
        "mixed": mixed,
        "versions_heard": len({version for _, version, _ in load.replies}),
        "adapters_that_differ": different,
    }


def _measure_gaps(base: Any, adapters: list[Path], swaps: int) -> dict[str, Any]:
    """Measure the times between tokens without and with swaps, a quarter of each in turn, and what a swap takes."""
    from assistant.engine.limits import EngineLimits
    from assistant.engine.live import LiveAssistant
    from tests.random_adapters import describe_release

    prompts = _draw_prompts(base)
    limits = EngineLimits(prefix_mb=8)  # full before the first swap that counts: what grows after that is a leak
    quiet, busy = Load(keeps_replies=False), Load(keeps_replies=False)
    publish_ms: list[float] = []
    swap_ms: list[float] = []
    memory: list[float] = []
    version = 0
    with LiveAssistant(_endless(base), limits) as live:
        for adapter in adapters:  # what is loaded for the first time
            live.swap_to(describe_release(base, version := version + 1, adapter))
        with _people(live, prompts):
            time.sleep(3)
        for quarter in range(4):
            with _people(live, prompts, into=busy):
                began = time.perf_counter()
                for _ in range(swaps // 4):
                    swap_ms.append(live.swap_to(describe_release(base, version := version + 1, adapters[version % len(adapters)])))
                    publish_ms.append(live._meter.publish_ms)
                    memory.append(psutil.Process().memory_info().rss / 1e6)
                took = time.perf_counter() - began
            with _people(live, prompts, into=quiet):
                time.sleep(took)
            _console.print(f"quarter {quarter + 1}: {swaps // 4} swaps in {took:.1f} s")
    hundred = max(1, min(100, len(memory) // 2))
    growth = statistics.median(memory[-hundred:]) / statistics.median(memory[:hundred]) - 1
    return {
        "publish_p99_ms": round(find_percentile(publish_ms, 0.99), 2),
        "publish_median_ms": round(statistics.median(publish_ms), 2),
        "swap_median_ms": round(statistics.median(swap_ms), 1),
        "swap_p99_ms": round(find_percentile(swap_ms, 0.99), 1),
        "gap_median_ms": round(statistics.median(busy.gaps) * 1000, 2),
        "gap_p999_ms": round(find_percentile(busy.gaps, 0.999) * 1000, 2),
        "gap_max_ms": round(max(busy.gaps) * 1000, 2),
        "gap_p999_ratio": round(find_percentile(busy.gaps, 0.999) / statistics.median(busy.gaps), 3),
        "gap_p999_ratio_without_swaps": round(find_percentile(quiet.gaps, 0.999) / statistics.median(quiet.gaps), 3),
        "gap_max_ms_without_swaps": round(max(quiet.gaps) * 1000, 2),
        "gap_vs_no_swaps": round(find_percentile(busy.gaps, 0.999) / find_percentile(quiet.gaps, 0.999), 3),
        "gap_median_vs_no_swaps": round(statistics.median(busy.gaps) / statistics.median(quiet.gaps), 3),
        "dropped_nf4": busy.dropped + quiet.dropped,
        "memory_growth": round(growth, 4),
    }


def _measure_peft(base: Path, adapters: list[Path], times: int = 20) -> dict[str, Any]:
    """Time peft's ways of changing the adapter of a model that does nothing else meanwhile."""
    from peft import PeftModel
    from peft.utils.hotswap import hotswap_adapter

    from assistant.engine.base_model import load_base_model

    model = PeftModel.from_pretrained(load_base_model(base).model, str(adapters[0]), adapter_name="default").eval()
    loaded, swapped = [], []
    for number in range(times):
        folder = str(adapters[number % len(adapters)])
        started = time.perf_counter()
        model.load_adapter(folder, adapter_name=f"a{number}")
        model.set_adapter(f"a{number}")
        loaded.append((time.perf_counter() - started) * 1000)
        model.set_adapter("default")
        model.delete_adapter(f"a{number}")
        started = time.perf_counter()
        hotswap_adapter(model, folder, adapter_name="default", torch_device="cpu")
        swapped.append((time.perf_counter() - started) * 1000)
    return {
        "peft_load_and_set_median_ms": round(statistics.median(loaded), 1),
        "peft_hotswap_median_ms": round(statistics.median(swapped), 1),
    }


@contextmanager
def _people(live: Any, prompts: list[list[int]], into: Load | None = None) -> Iterator[Load]:
    """Have people ask without a pause while a block runs; their last replies are waited for."""
    load = into or Load()
    over = threading.Event()

    def ask_on(person: int) -> None:
        rng = Random(person)
        while not over.is_set():
            place = rng.randrange(len(prompts))
            version, said, gaps = _ask(live, prompts[place])
            load.add(place, version, said, gaps)

    threads = [threading.Thread(target=ask_on, args=[person]) for person in range(PEOPLE)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask(live: Any, ids: list[int]) -> tuple[int, tuple[int, ...], list[float]]:
    """Ask for a reply to tokens; return the version, the reply's tokens, and the times between its pieces of text, in seconds."""
    from assistant.engine.reply import Reply, Sampling

    class TimedReply(Reply):
        """Notes when the engine hands out each piece."""

        def put(self, piece: str) -> None:
            times.append(time.perf_counter())
            super().put(piece)

    times: list[float] = []
    with live._changed:
        version = live._releases.live
        slot = live._releases.pin(version)
        reply = TimedReply(next(live._numbers), version, Sampling(max_tokens=TOKENS), len(ids), None)
        live._replies[reply.id] = reply
        row = live._make_row(reply, list(ids), slot)
        live._submit(row)
    for _ in reply:
        pass
    return version, tuple(row.ids[len(ids) :]), [later - earlier for earlier, later in pairwise(times)]


def _draw_prompts(base: Any) -> list[list[int]]:
    rng = Random(3)
    return [[rng.randrange(10, len(base.tokenizer)) for _ in range(rng.randrange(12, 60))] for _ in range(PROMPTS)]


def _endless(base: Any) -> Any:
    """Have nothing end a reply early: neither what the model's configuration ends a text with, nor what the tokenizer ends a turn with."""
    base.model.generation_config.eos_token_id = [-1]
    base.tokenizer.eos_token = None
    return base


if __name__ == "__main__":
    app()
