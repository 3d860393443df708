"""Serving many people at once against transformers and peft: `python -m tests.benchmarks.serving --json` prints one JSON object last.

Each side answers the same prompts (no common beginning) with the same adapter, 64 tokens each that nothing ends early. All sides stand in
one process with a copy of the model each, and take turns within a trial, so noise of the machine meets all; intervals are of the trials'
paired ratios. What is said is compared, so that nobody wins by doing less. Each peer runs with one thread or with all, whichever is quicker
for it in a round before those that count (Errata chooses for itself). Where llama.cpp is installed (see `llama_cpp_peer`), it answers
beside them on the larger model, with its own four bits a weight; it is reported by itself, for it is no peer built on transformers.
"""

import gc
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from assistant.libraries import prepare_libraries
from tests.benchmarks import llama_cpp_peer
from tests.benchmarks.percentile import find_percentile

TOKENS = 64
RANK = 16
_TRIAL_S, _MOST_ROUNDS = 2.0, 10  # a trial is made as long as that, for a moment's noise decides about a shorter one
_T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
app = typer.Typer(add_completion=False)
_console = Console(stderr=True, width=140)


@dataclass(slots=True)
class Answers:
    """What a side took for some prompts: seconds in all, seconds to each first token, and the tokens it said."""

    seconds: float
    first_s: list[float]
    said: list[list[int]]


Side = Callable[[list[list[int]]], Answers]


@dataclass(slots=True)
class Cell:
    """The trials of one model, number of people and length of prompt."""

    model: str
    people: int
    context: int
    trials: dict[str, list[Answers]] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)

    def rate(self, side: str) -> float:
        """Return a side's median tokens a second."""
        return statistics.median(len(one.said) * TOKENS / one.seconds for one in self.trials[side])

    def ratio(self, side: str, other: str) -> tuple[float, float, float]:
        """Return how many times as quick a side is, and the 95 % interval of the trials' paired ratios."""
        logs = [math.log(b.seconds / a.seconds) for a, b in zip(self.trials[side], self.trials[other], strict=True)]
        mean = statistics.fmean(logs)
        half = _T_95[len(logs)] * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.inf
        return math.exp(mean), math.exp(mean - half), math.exp(mean + half)

    def agreement(self, side: str, other: str) -> float:
        """Return which share of the tokens two sides say alike up to where each pair of replies first differs."""
        pairs = [pair for a, b in zip(self.trials[side], self.trials[other], strict=True) for pair in zip(a.said, b.said, strict=True)]
        return statistics.fmean(_share_alike(one, two) for one, two in pairs)


@app.command()
def compare(
    trials: Annotated[int, typer.Option(min=2, max=10, help="Trials of each cell.")] = 5,
    people: Annotated[str, typer.Option(help="How many ask at once.")] = "1,4,16",
    contexts: Annotated[str, typer.Option(help="Tokens of a prompt.")] = "64,512",
    models: Annotated[str, typer.Option(help="Of bundled and large.")] = "bundled,large",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Compare on the bundled base and on a random Llama of about 100 M parameters."""
    prepare_libraries()
    from assistant.settings import BUNDLED_BASE
    from tests.benchmarks.training import build_large

    cells: list[Cell] = []
    found: dict[str, Any] = {"tokens": TOKENS, "trials": trials}
    with tempfile.TemporaryDirectory() as folder:
        for model in models.split(","):
            base = BUNDLED_BASE if model == "bundled" else build_large(Path(folder) / "large", BUNDLED_BASE)
            with Sides(base, Path(folder) / f"{model}_adapters") as sides:
                if model == "large" and llama_cpp_peer.is_installed():
                    found["llama_cpp_same_tokens_in_float32"] = sides.add_llama_cpp(base, Path(folder), max(map(int, people.split(","))))
                for context in map(int, contexts.split(",")):
                    for count in map(int, people.split(",")):
                        cells.append(_race(Cell(model, count, context), sides.all, sides.draw_prompts, trials))
                        _show(cells[-1])
                found[f"{model}_mixed_adapters_ratio"] = _race_mixed(sides, trials)
    found |= _summarise(cells)
    if as_json:
        print(json.dumps(found))


class Sides:
    """All sides, each with its own copy of a model and the same adapter."""

    def __init__(self, base: Path, folder: Path) -> None:
        from peft import PeftModel

        from assistant.engine.base_model import load_base_model
        from assistant.engine.limits import EngineLimits
        from assistant.engine.live import LiveAssistant, make_bare_release
        from tests.random_adapters import describe_release

        self._rng = Random(7)
        ours = load_base_model(base)
        self.adapters = [make_random_adapter(ours, folder / str(seed), seed) for seed in (1, 2)]
        ours.model.generation_config.eos_token_id = [-1]
        ours.tokenizer.eos_token = None
        self.vocabulary = min(ours.model.config.vocab_size, len(ours.tokenizer))
        self.live = LiveAssistant(ours, EngineLimits(prefix_mb=0))
        self.live.swap_to(make_bare_release(ours))
        for version, adapter in enumerate(self.adapters, start=1):
            self.live.swap_to(describe_release(ours, version, adapter))
        self.live.swap_to(describe_release(ours, 1, self.adapters[0]))
        loaded = load_base_model(base)
        self.peer = PeftModel.from_pretrained(loaded.model, str(self.adapters[0]), adapter_name="one").eval()
        self.peer.load_adapter(str(self.adapters[1]), adapter_name="two")
        self.peer.set_adapter("one")
        other = load_base_model(base)
        self.paged = PeftModel.from_pretrained(other.model, str(self.adapters[0])).eval()
        self.all: dict[str, Side] = {
            "errata": self.ask_errata,
            "one_by_one": self.ask_one_by_one,
            "batched": self.ask_batched,
            "continuous": self.ask_continuous,
        }
        self.llama: llama_cpp_peer.LlamaCpp | None = None

    def __enter__(self) -> "Sides":
        return self

    def __exit__(self, *_: object) -> None:
        self.live.close()
        if self.llama is not None:
            self.llama.close()
        gc.collect()

    def add_llama_cpp(self, base: Path, folder: Path, people: int) -> float:
        """Let llama.cpp take part; return which share of the tokens it says as transformers does where both reckon in float32."""
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        adapter = llama_cpp_peer.write_adapter(self.adapters[0], base, folder / "adapter.gguf")
        prompts, tokens = self.draw_prompts(4, 64), 16
        exact = llama_cpp_peer.LlamaCpp(
            llama_cpp_peer.write_model(base, folder / "exact.gguf", four_bit=False), adapter, people=4, tokens_each=128
        )
        said = exact.answer(prompts, tokens, torch.get_num_threads())[1]
        exact.close()
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base).float(), str(self.adapters[0])).eval()
        wanted = _generate(model, prompts, tokens)
        served = llama_cpp_peer.write_model(base, folder / "served.gguf", four_bit=True)
        self.llama = llama_cpp_peer.LlamaCpp(served, adapter, people=people, tokens_each=1024)
        self.all["llama_cpp"] = self.ask_llama_cpp
        return round(statistics.fmean(_share_alike(one, two) for one, two in zip(said, wanted, strict=True)), 3)

    def draw_prompts(self, count: int, length: int) -> list[list[int]]:
        """Draw prompts of random tokens."""
        return [[self._rng.randrange(10, self.vocabulary) for _ in range(length)] for _ in range(count)]

    def ask_errata(self, prompts: list[list[int]], versions: Sequence[int] | None = None) -> Answers:
        from assistant.engine.reply import Reply, Sampling

        started = time.perf_counter()
        rows = []
        with self.live._changed:
            for number, ids in enumerate(prompts):
                version = 1 if versions is None else versions[number]
                reply = Reply(1_000_000 + number, version, Sampling(max_tokens=TOKENS), len(ids), None)
                self.live._replies[reply.id] = reply
                rows.append(self.live._make_row(reply, list(ids), self.live._releases.pin(version)))
                self.live._submit(rows[-1])
        for row in rows:
            for _ in row.reply:
                pass
        seconds = time.perf_counter() - started
        said = [row.ids[row.reply.prompt_tokens :] for row in rows]
        return Answers(seconds, [(row.reply.first_token_ms or 0) / 1000 for row in rows], said)

    def ask_one_by_one(self, prompts: list[list[int]]) -> Answers:
        started = time.perf_counter()
        first, said = [], []
        for ids in prompts:
            watch = _FirstToken()
            said += self._generate([ids], streamer=watch)
            first.append(watch.at - started)
        return Answers(time.perf_counter() - started, first, said)

    def ask_batched(self, prompts: list[list[int]]) -> Answers:
        started = time.perf_counter()
        said = self._generate(prompts)
        seconds = time.perf_counter() - started
        return Answers(seconds, [seconds] * len(prompts), said)

    def ask_by_name(self, prompts: list[list[int]], names: list[str]) -> Answers:
        started = time.perf_counter()
        said = self._generate(prompts, adapter_names=names)
        seconds = time.perf_counter() - started
        return Answers(seconds, [seconds] * len(prompts), said)

    def ask_continuous(self, prompts: list[list[int]]) -> Answers:
        from transformers import GenerationConfig
        from transformers.generation.configuration_utils import ContinuousBatchingConfig

        settings = GenerationConfig(max_new_tokens=TOKENS, do_sample=False, eos_token_id=-1, pad_token_id=0)
        longest = max(map(len, prompts)) + TOKENS
        config = ContinuousBatchingConfig(
            num_blocks=-(-longest // 32) * len(prompts) + 8, page_size=32, max_batch_tokens=1024, allow_block_sharing=False
        )
        model = self.paged.base_model.model
        implementation = model.config._attn_implementation
        manager = model.init_continuous_batching(settings, config)
        manager.start()
        try:
            started = time.perf_counter()
            names = manager.add_requests(prompts, max_new_tokens=TOKENS) or [f"req_{number}" for number in range(len(prompts))]
            outputs: dict[str, Any] = {}
            while len(outputs) < len(prompts):
                result = manager.get_result(timeout=1)
                if result is not None and result.is_finished():
                    outputs[result.request_id] = result
            seconds = time.perf_counter() - started
        finally:
            manager.stop(block=True)
            manager.destroy()
            model.set_attn_implementation(implementation)
        said = [outputs[name].generated_tokens for name in names]
        return Answers(seconds, [seconds] * len(prompts), said)

    def ask_llama_cpp(self, prompts: list[list[int]]) -> Answers:
        import torch

        assert self.llama is not None
        started = time.perf_counter()
        first, said = self.llama.answer(prompts, TOKENS, torch.get_num_threads())
        return Answers(time.perf_counter() - started, first, said)

    def _generate(self, prompts: list[list[int]], **more: Any) -> list[list[int]]:
        return _generate(self.peer, prompts, TOKENS, **more)


def _generate(model: Any, prompts: list[list[int]], tokens: int, **more: Any) -> list[list[int]]:
    import torch

    ids = torch.tensor(prompts)
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=-1,
            pad_token_id=0,
            temperature=None,
            top_p=None,
            top_k=None,
            **more,
        )
    said: list[list[int]] = out[:, ids.shape[1] :].tolist()
    return said


def _share_alike(one: list[int], two: list[int]) -> float:
    """Return which share of two replies is alike, up to where they first differ."""
    return next((place for place in range(len(one)) if one[place] != two[place]), len(one)) / len(one)


class _FirstToken:
    """A streamer that notes when the first token came; the prompt comes before it."""

    def __init__(self) -> None:
        self.at, self._calls = 0.0, 0

    def put(self, _: Any) -> None:
        self._calls += 1
        if self._calls == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        pass


def _race(cell: Cell, sides: dict[str, Side], draw: Callable[[int, int], list[list[int]]], trials: int) -> Cell:
    """Let the sides take turns; rounds before them, which choose each peer's threads, are not counted."""
    import torch

    every = torch.get_num_threads()
    prompts = [draw(cell.people, cell.context)]
    tried: dict[tuple[str, int], float] = {}
    for _ in range(2):
        if not tried or min(tried.values()) < _TRIAL_S:  # a short round may have met something cold
            tried = {(name, count): _run(side, prompts, count).seconds for count in (every, 1) for name, side in sides.items()}
    cell.threads = {name: min((1, every), key=lambda count: tried[name, count]) for name in sides}
    rounds = min(_MOST_ROUNDS, math.ceil(_TRIAL_S / min(tried.values())))
    for trial in range(trials):
        prompts = [draw(cell.people, cell.context) for _ in range(rounds)]
        names = list(sides)
        for name in names if trial % 2 else names[::-1]:
            found = _run(sides[name], prompts, cell.threads[name])
            assert [len(said) for said in found.said] == [TOKENS] * cell.people * rounds, f"{name} did other work"
            cell.trials.setdefault(name, []).append(found)
    torch.set_num_threads(every)
    return cell


def _run(side: Side, rounds: list[list[list[int]]], threads: int) -> Answers:
    """Have a side answer some rounds of prompts, one round after the other."""
    import torch

    torch.set_num_threads(threads)
    found = [side(prompts) for prompts in rounds]
    return Answers(
        sum(one.seconds for one in found), [first for one in found for first in one.first_s], [said for one in found for said in one.said]
    )


def _race_mixed(sides: Sides, trials: int) -> float:
    """Sixteen people, every other one on another adapter; against peft's choice of an adapter by row."""
    cell = Cell("mixed", 16, 64)
    versions, names = [1, 2] * 8, ["one", "two"] * 8
    mixed: dict[str, Side] = {
        "errata": lambda prompts: sides.ask_errata(prompts, versions),
        "adapter_names": lambda prompts: sides.ask_by_name(prompts, names),
    }
    _race(cell, mixed, sides.draw_prompts, trials)
    _console.print(f"two adapters mixed: {cell.ratio('errata', 'adapter_names')[0]:.2f} times peft's adapter_names")
    return round(cell.ratio("errata", "adapter_names")[0], 3)


def _summarise(cells: Sequence[Cell]) -> dict[str, Any]:
    rows, lower, ratios = [], [], []
    for cell in cells:
        peers = [side for side in cell.trials if side not in {"errata", "llama_cpp"}]
        best = max(peers, key=cell.rate)
        ratio, low, high = cell.ratio("errata", best)
        lower.append(low)
        ratios.append(ratio)
        rows.append(
            {
                "model": cell.model,
                "people": cell.people,
                "context": cell.context,
                "tokens_per_s": {side: round(cell.rate(side), 1) for side in cell.trials},
                "threads_of_peers": {side: cell.threads[side] for side in peers},
                "best_peer": best,
                "ratio": round(ratio, 3),
                "interval": [round(low, 3), round(high, 3)],
                "vs_one_by_one": round(cell.ratio("errata", "one_by_one")[0], 3),
                "vs_llama_cpp": round(cell.ratio("errata", "llama_cpp")[0], 3) if "llama_cpp" in cell.trials else None,
                "ttft_p95_s": {side: round(_p95(cell, side), 4) for side in ("errata", "one_by_one")},
                "same_tokens": {side: round(cell.agreement("errata", side), 3) for side in peers},
                "same_tokens_batched_and_one_by_one": round(cell.agreement("batched", "one_by_one"), 3),
            }
        )
    found: dict[str, Any] = {
        "cells": rows,
        "worst_lower_bound_vs_best_peer": round(min(lower), 3),
        "geomean_vs_best_peer": round(math.exp(statistics.fmean(map(math.log, ratios))), 3),
    }
    for cell, row in zip(cells, rows, strict=True):
        if (cell.people, cell.context) == (16, 64):
            found[f"{cell.model}_ratio_at_16_ctx64"] = row["vs_one_by_one"]
            if cell.model == "bundled":
                found["ttft_p95_ratio_at_16_ctx64"] = round(_p95(cell, "errata") / _p95(cell, "one_by_one"), 3)
    return found


def _p95(cell: Cell, side: str) -> float:
    return find_percentile((second for one in cell.trials[side] for second in one.first_s), 0.95)


def _show(cell: Cell) -> None:
    table = Table(title=f"{cell.model}, {cell.people} people, prompts of {cell.context} tokens")
    for heading in ("side", "tokens/s", "errata is so many times as quick", "95 %", "same tokens"):
        table.add_column(heading)
    for side in cell.trials:
        ratio, low, high = cell.ratio("errata", side)
        table.add_row(side, f"{cell.rate(side):,.0f}", f"{ratio:.2f}", f"{low:.2f} to {high:.2f}", f"{cell.agreement('errata', side):.2f}")
    _console.print(table)


def make_random_adapter(base: Any, folder: Path, seed: int) -> Path:
    """Write a random adapter beside every linear layer, strong enough to change what the base says."""
    from peft import LoraConfig

    from tests.random_adapters import write_random_adapter

    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    return write_random_adapter(folder, base, config, seed=seed, scale=0.15)


if __name__ == "__main__":
    app()
