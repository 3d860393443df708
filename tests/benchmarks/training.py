"""Training throughput against TRL's SFTTrainer: `python -m tests.benchmarks.training --json` prints one JSON object last.

Both train the same rows (ids and labels made once) on the same 4-bit base with the same LoRA configuration, batch size, optimizer steps and
non-padding tokens; each trial is a process of its own, and the sides alternate, so noise of the machine meets both. TRL runs in the faster
of its modes that take the same rows a step, and has the gradients of its 4-bit layers mended in the same way as ours.
"""

import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console

ROWS, BATCH, MAX_LENGTH = 256, 8, 512
LARGE = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 7, "num_attention_heads": 12, "num_key_value_heads": 12}
app = typer.Typer(add_completion=False)
_console = Console(stderr=True)


@app.callback(invoke_without_command=True)
def compare(
    context: typer.Context,
    trials: Annotated[int, typer.Option(help="Trials of each side and base.", min=1)] = 3,
    rows: Annotated[int, typer.Option(help="Rows trained in a trial.", min=BATCH)] = ROWS,
    base: Annotated[str | None, typer.Option(help="A base folder; by default the bundled one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Compare on the base and on a random Llama of about 100 M parameters."""
    if context.invoked_subcommand is not None:
        return
    from assistant.settings import BUNDLED_BASE

    found: dict[str, Any] = {"rows": rows, "batch": BATCH, "trials": trials}
    with tempfile.TemporaryDirectory() as folder:
        bundled = Path(base) if base is not None else BUNDLED_BASE
        large = build_large(Path(folder) / "large", bundled)
        for prefix, model, count in (("", bundled, rows), ("large_", large, max(BATCH, rows // 4))):
            data = write_rows(Path(folder) / f"{prefix}rows.json", model, count)
            for name, value in race(model, data, trials).items():
                found[f"{prefix}{name}"] = value
    if as_json:
        print(json.dumps(found))
    else:
        _console.print(found)


@app.command()
def trial(side: str, base: Path, data: Path) -> None:
    """Train once and print what it took; `side` is ours, trl_padded or trl_padding_free."""
    print(json.dumps(_train_ours(base, data) if side == "ours" else _train_trl(base, data, padding_free=side == "trl_padding_free")))


def race(base: Path, data: Path, trials: int) -> dict[str, Any]:
    """Alternate the sides; ratios are of the medians, ours to TRL's (tokens a second: more is better; memory: less is better)."""
    modes = {mode: _run_trial(mode, base, data) for mode in ("trl_padded", "trl_padding_free")}
    faster = max(modes, key=lambda mode: modes[mode]["tokens_per_s"])
    sides: dict[str, list[dict[str, Any]]] = {"ours": [], faster: []}
    for _ in range(trials):
        for side, found in sides.items():
            found.append(_run_trial(side, base, data))
    ours, theirs = sides["ours"], sides[faster]
    assert {(one["tokens"], one["steps"]) for one in (*ours, *theirs)} == {(ours[0]["tokens"], ours[0]["steps"])}, "unequal work"
    return {
        "trl_mode": faster,
        "tokens": ours[0]["tokens"],
        "steps": ours[0]["steps"],
        "tokens_per_s_ratio": round(_median(ours, "tokens_per_s") / _median(theirs, "tokens_per_s"), 3),
        "peak_memory_ratio": round(_median(ours, "peak_mb") / _median(theirs, "peak_mb"), 3),
        "ours": {name: _median(ours, name) for name in ("tokens_per_s", "peak_mb", "final_loss")},
        "trl": {name: _median(theirs, name) for name in ("tokens_per_s", "peak_mb", "final_loss")},
    }


def build_large(folder: Path, tokenizer_of: Path) -> Path:
    """Write a random Llama of about 100 M parameters with a base's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000, max_position_embeddings=2048, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **LARGE
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_rows(path: Path, base: Path, count: int) -> Path:
    """Encode dialogues of the corpus once for both sides."""
    from transformers import AutoTokenizer

    from trainer.encoding import encode_example, list_end_ids
    from trainer.support_base.corpus import load_corpus
    from trainer.support_base.dialogues import draw_dialogue

    tokenizer, corpus, rng = AutoTokenizer.from_pretrained(base), load_corpus(), Random("benchmark")
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        *prompt, reply = draw_dialogue(corpus, rng).messages()
        ends = list_end_ids(tokenizer, None)
        encoded = encode_example(tokenizer, prompt, reply["content"], max_length=100_000, end_ids=ends)
        if len(encoded.ids) <= MAX_LENGTH:
            rows.append(asdict(encoded))
    path.write_text(json.dumps(rows))
    return path


def _run_trial(side: str, base: Path, data: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.training", "trial", side, str(base), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"})
    if done.returncode != 0:
        raise RuntimeError(f"expected a trial of {side}, found that it failed:\n{done.stdout}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    _console.print(
        f"{base.name}, {side}: {found['tokens_per_s']:,.0f} tokens/s, {found['peak_mb']:,.0f} MB, loss {found['final_loss']:.3f}"
    )
    return found


def _train_ours(base: Path, data: Path) -> dict[str, Any]:
    from assistant.engine.base_model import load_base_model
    from trainer.encoding import Encoded
    from trainer.finetune import Fit, Step, finetune

    rows = [Encoded(**row) for row in json.loads(data.read_text())]
    loaded, steps = load_base_model(base), list[Step]()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        finetune(
            loaded,
            rows,
            [],
            _recipe(),
            Path(folder),
            fit=Fit(micro_batch=BATCH, checkpointing=False, max_length=MAX_LENGTH),
            publish=steps.append,
        )
        seconds = time.perf_counter() - started
    return _describe([row.ids for row in rows], seconds, [step.loss for step in steps])


def _train_trl(base: Path, data: Path, *, padding_free: bool) -> dict[str, Any]:
    import bitsandbytes
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from assistant.engine.base_model import load_base_model

    logging.disable(logging.WARNING)
    rows = json.loads(data.read_text())
    loaded, recipe = load_base_model(base), _recipe()
    for module in loaded.model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=loaded.model,
            processing_class=loaded.tokenizer,
            train_dataset=Dataset.from_list([{"input_ids": row["ids"], "labels": row["labels"]} for row in rows]),
            peft_config=LoraConfig(
                r=recipe.rank, lora_alpha=int(recipe.alpha), target_modules="all-linear", bias="none", task_type="CAUSAL_LM"
            ),
            args=SFTConfig(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=BATCH,
                learning_rate=recipe.learning_rate,
                lr_scheduler_type="cosine",
                max_length=None if padding_free else MAX_LENGTH,
                padding_free=padding_free,
                gradient_checkpointing=False,
                use_cpu=loaded.device.type == "cpu",
                bf16=loaded.device.type == "cuda",
                fp16=False,
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                seed=recipe.seed,
            ),
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return _describe([row["ids"] for row in rows], seconds, losses)


def _recipe() -> Any:
    from feedback_db.recipe import Recipe

    return Recipe(epochs=1, batch_size=BATCH, warmup_share=0.0, learning_rate=1e-3)


def _describe(ids: list[list[int]], seconds: float, losses: list[float]) -> dict[str, Any]:
    tokens = sum(map(len, ids))
    return {
        "tokens": tokens,
        "steps": len(losses),
        "tokens_per_s": tokens / seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "final_loss": sum(losses[-8:]) / len(losses[-8:]),
    }


def _median(found: list[dict[str, Any]], name: str) -> float:
    ordered = sorted(one[name] for one in found)
    return float(ordered[len(ordered) // 2])


if __name__ == "__main__":
    app()
