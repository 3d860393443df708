"""One build of the bundled base, from the corpus to a folder that any loader takes."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from trainer.support_base.corpus import Corpus, hash_texts, load_corpus
from trainer.support_base.grid import put_on_grid
from trainer.support_base.plan import OtherBuildError, Plan, Progress
from trainer.support_base.pretrain import build_model, pretrain, shape_base, train_own_tokenizer
from trainer.support_base.priming import topic_width
from trainer.support_base.topics import learn_topics


def build_base(out: Path, *, steps: int | None, seed: int, publish: Callable[[Progress], None]) -> Path:
    """Pretrain the base, or go on with an interrupted build in `out`, and return the finished folder.

    Raises:
        OtherBuildError: `out` holds a build of another plan or corpus.
    """
    corpus = load_corpus()
    plan = Plan.for_gpu(seed=seed) if torch.cuda.is_available() else Plan(seed=seed)
    plan = plan if steps is None else replace(plan, steps=steps)
    out.mkdir(parents=True, exist_ok=True)
    made_from = {**asdict(plan), "corpus": hash_texts()}
    _keep_plan(made_from, out / "plan.json")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(os.cpu_count() or 1)
    torch.set_flush_denormal(True)
    tokenizer = _make_tokenizer(corpus, plan, out / "tokenizer")
    config = shape_base(tokenizer)
    topics = _make_topics(corpus, tokenizer, plan, topic_width(config), out / "topics.safetensors")
    model = build_model(config, topics, seed=plan.seed)
    pretrain(model, tokenizer, corpus, plan, out / "checkpoints", publish=publish)
    return _save(model, tokenizer, made_from, out / "model")


def _keep_plan(made_from: dict[str, object], path: Path) -> None:
    """Write plan and corpus down on the first start; later starts must be of the same ones, or the checkpoints would not fit."""
    wanted = json.dumps(made_from, indent=2)
    if path.exists() and path.read_text() != wanted:
        raise OtherBuildError(path.parent)
    path.write_text(wanted)


def _make_tokenizer(corpus: Corpus, plan: Plan, folder: Path) -> PreTrainedTokenizerFast:
    if (folder / "tokenizer.json").exists():
        return AutoTokenizer.from_pretrained(folder)
    tokenizer = train_own_tokenizer(corpus, plan)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _make_topics(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, plan: Plan, width: int, path: Path) -> Tensor:
    if not path.exists():
        learned = learn_topics(corpus, tokenizer, width, texts=plan.topic_texts, seed=plan.seed)
        aside = path.with_suffix(".part")
        save_file({"topics": learned}, aside)
        aside.rename(path)
    topics: Tensor = load_file(path)["topics"]
    return topics


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, made_from: dict[str, object], folder: Path) -> Path:
    """Write weights (bf16), tokenizer, generation config, and how it was built; aside first, so that a folder that exists is whole."""
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=256, eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id
    )
    put_on_grid(model.cpu())  # as a machine without a GPU will read it
    model.to(torch.bfloat16).save_pretrained(aside)
    tokenizer.save_pretrained(aside)
    built = {
        **made_from,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores",
        "finished": datetime.now(UTC).date().isoformat(),
        "parameters": model.num_parameters(),
    }
    (aside / "build.json").write_text(json.dumps(built, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    return folder
