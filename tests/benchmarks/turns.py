"""The first token at turn 8 of a conversation, with and without what was read before: `python -m tests.benchmarks.turns --json`.

Two engines on copies of the same base lead the same conversations in turns; one keeps nothing of what it has read. Both must say the same
in float32, where rounding decides nothing.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console

from assistant.libraries import prepare_libraries

TURNS, TOKENS, WORDS = 8, 64, 25
app = typer.Typer(add_completion=False)
_console = Console(stderr=True, width=140)


@app.command()
def measure(
    conversations: Annotated[int, typer.Option(min=2, help="How many conversations.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Compare on the bundled base and on a random Llama of about 100 M parameters."""
    prepare_libraries()
    import torch

    from assistant.engine.base_model import Quantisation
    from assistant.settings import BUNDLED_BASE
    from tests.benchmarks.training import build_large

    found: dict[str, Any] = {"conversations": conversations, "turns": TURNS}
    with tempfile.TemporaryDirectory() as folder:
        for name, base in (("", BUNDLED_BASE), ("large_", build_large(Path(folder) / "large", BUNDLED_BASE))):
            with_ms, without_ms, _ = _lead(base, conversations)
            ratios = [a / b for a, b in zip(with_ms, without_ms, strict=True)]
            found[f"{name}turn8_ttft_ratio"] = round(statistics.median(ratios), 3)
            found[f"{name}turn8_ttft_ms"] = [round(statistics.median(with_ms), 1), round(statistics.median(without_ms), 1)]
        exact = {"quantisation": Quantisation.NONE, "dtype": torch.float32, "device": "cpu"}
        found["same_replies_float32"] = _lead(BUNDLED_BASE, 3, **exact)[2]
    if as_json:
        print(json.dumps(found))
    else:
        _console.print(found)


def _lead(base: Path, conversations: int, **how: Any) -> tuple[list[float], list[float], float]:
    """Lead conversations; return the times to the first token of the last turn with and without reuse, and the share of equal replies."""
    from assistant.engine.base_model import load_base_model
    from assistant.engine.limits import EngineLimits
    from assistant.engine.live import LiveAssistant, make_bare_release
    from assistant.engine.reply import Sampling
    from assistant.prompt import build_messages

    rng = Random(1)
    words = "my order parcel refund where when please the is not here device code plan account invoice card shop help broken".split()
    times: tuple[list[float], list[float]] = ([], [])
    same: list[bool] = []
    kept, nothing = load_base_model(base, **how), load_base_model(base, **how)
    with LiveAssistant(kept) as with_reuse, LiveAssistant(nothing, EngineLimits(prefix_mb=0)) as without:
        for live in (with_reuse, without):
            live.base.model.generation_config.eos_token_id = [-1]
            live.base.tokenizer.eos_token = None
            live.swap_to(make_bare_release(live.base))
        for number in range(conversations):
            history: list[tuple[str, str]] = []
            for turn in range(TURNS):
                message = " ".join(rng.choices(words, k=WORDS))
                messages = build_messages("You are Ada, the support assistant of Acme.", history, message)
                said = []
                for live, place in ((with_reuse, 0), (without, 1)) if number % 2 else ((without, 1), (with_reuse, 0)):
                    is_last = turn == TURNS - 1
                    started = time.perf_counter()
                    said.append((place, "".join(live.stream(messages, Sampling(max_tokens=1 if is_last else TOKENS)))))
                    if is_last:
                        times[place].append((time.perf_counter() - started) * 1000)
                same.append(len({text for _, text in said}) == 1)
                history.append((message, min(said)[1]))
    return times[0], times[1], statistics.fmean(same)


if __name__ == "__main__":
    app()
