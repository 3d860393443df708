"""Pretraining of the bundled base from drawn dialogues, with transformers' Trainer underneath: resumable, seeded, loss on replies.

A training step is one item of the data set: the step's number seeds its dialogues, so a resumed build draws exactly what an
uninterrupted one would have drawn.
"""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from trainer.support_base.batches import Batch, BlockSampler, Encoder, Step, Steps
from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import draw_dialogue
from trainer.support_base.grid import on_grid
from trainer.support_base.muon import Muon
from trainer.support_base.plan import MAX_LENGTH, Plan, Progress
from trainer.support_base.priming import prime
from trainer.support_base.tokenizer import END, train_tokenizer


def shape_base(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """Return the shape of the base: 5 layers of width 320, 7.0 M parameters; linear dimensions are multiples of 64."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=320,
        intermediate_size=768,
        num_hidden_layers=5,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.03,
    )


def build_model(config: LlamaConfig, topics: Tensor, *, seed: int) -> LlamaForCausalLM:
    """Create the base as pretraining starts from it; `topics` has the shape (vocabulary, topic_width(config))."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    prime(model, topics, seed=seed)
    return model


def train_own_tokenizer(corpus: Corpus, plan: Plan) -> PreTrainedTokenizerFast:
    """Train the tokenizer on dialogues of the plan's seed."""
    dialogues = (draw_dialogue(corpus, Random(f"tokenizer:{plan.seed}:{number}")) for number in range(plan.tokenizer_dialogues))
    texts = (message["content"] for dialogue in dialogues for message in dialogue.messages())
    return train_tokenizer(texts, max_length=MAX_LENGTH)


def reply_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Return the weighted sum of the cross entropy over the targets; the head runs on them only."""
    hidden = model.model(input_ids=batch["input_ids"], use_cache=False).last_hidden_state  # (rows, length, width)
    logits = model.lm_head(hidden.flatten(0, 1)[batch["places"]])  # (targets, vocabulary)
    losses = nn.functional.cross_entropy(logits.float(), batch["targets"], reduction="none")
    return (losses * batch["weights"]).sum()


class _StepTrainer(Trainer):
    """A Trainer whose item of data is a whole optimizer step: it runs the micro-batches and averages over all targets."""

    grid_from: int  # the step from which on the weights are looked at through the grid

    sampler: BlockSampler

    def _get_train_sampler(self, train_dataset: Any = None) -> BlockSampler:
        return self.sampler

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        model.train()
        step: Step = self._prepare_inputs(inputs)
        base = self.accelerator.unwrap_model(model)
        total = torch.zeros((), device=base.device)
        with on_grid(base) if self.state.global_step >= self.grid_from else nullcontext():
            for batch in step["batches"]:
                with torch.autocast(base.device.type, torch.bfloat16, enabled=base.device.type == "cuda"):
                    loss = reply_loss(base, batch)
                self.accelerator.backward(loss / step["weight"])
                total += loss.detach()
        self.tokens_seen += step["tokens"]
        return total / step["weight"]

    tokens_seen: int = 0


class _Report(TrainerCallback):
    def __init__(self, publish: Callable[[Progress], None]) -> None:
        self._publish, self._started_at, self._first_step = publish, 0.0, 0
        self.trainer: _StepTrainer | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._started_at, self._first_step = time.monotonic(), state.global_step

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs or self.trainer is None:
            return
        elapsed = time.monotonic() - self._started_at
        done = max(1, state.global_step - self._first_step)
        self._publish(
            Progress(
                step=state.global_step,
                steps=state.max_steps,
                loss=float(logs["loss"]),
                tokens_per_s=self.trainer.tokens_seen / elapsed,
                eta_s=elapsed / done * (state.max_steps - state.global_step),
            )
        )


def pretrain(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    corpus: Corpus,
    plan: Plan,
    work_dir: Path,
    *,
    publish: Callable[[Progress], None],
    report_every: int = 20,
) -> LlamaForCausalLM:
    """Pretrain in place and return the model; checkpoints lie in `work_dir` and the newest whole one is resumed."""
    torch.backends.cuda.enable_cudnn_sdp(enabled=False)  # it prepares itself for every new shape of a batch, 70 ms each on an H100
    workers = _count_workers()
    arguments = TrainingArguments(
        output_dir=str(work_dir),
        max_steps=plan.steps,
        per_device_train_batch_size=1,
        lr_scheduler_type="linear",
        warmup_steps=int(plan.steps * plan.warmup_share),
        max_grad_norm=1.0,
        logging_steps=report_every,
        save_steps=plan.steps_a_checkpoint,
        save_total_limit=2,
        disable_tqdm=True,
        report_to=[],
        seed=plan.seed,
        data_seed=plan.seed,
        dataloader_num_workers=workers,
        dataloader_prefetch_factor=plan.steps_a_block if workers else None,  # a block is drawn while the last one is trained
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
    )
    report = _Report(publish)
    trainer = _StepTrainer(
        model=model,
        args=arguments,
        train_dataset=Steps(corpus, Encoder(tokenizer), plan),
        data_collator=_only_item,
        callbacks=[report],
        optimizers=(Muon(model, learning_rate=plan.learning_rate, weight_decay=plan.weight_decay), None),
    )
    trainer.grid_from = int(plan.steps * plan.grid_from)
    trainer.sampler = BlockSampler(plan, max(1, workers))
    report.trainer = trainer
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=_newest_checkpoint(work_dir))
    return model


def _count_workers() -> int:
    """Return how many processes draw dialogues: none on a CPU, where drawing takes a hundredth of the time; else nearly all cores."""
    return max(1, (os.cpu_count() or 1) - 2) if torch.cuda.is_available() else 0


def _only_item(items: list[Any]) -> Any:
    (item,) = items
    return item


def _newest_checkpoint(work_dir: Path) -> str | None:
    """Return the newest checkpoint that was written whole (the trainer's state is its last file), or None."""
    found = sorted(work_dir.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    return next((str(path) for path in found if (path / "trainer_state.json").exists()), None)
