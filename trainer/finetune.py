"""QLoRA: trains low-rank matrices beside the frozen 4-bit layers of a base, with transformers' Trainer underneath.

Knows encoded rows and a recipe; nothing of corrections, files of a run, or the gate. The base that is passed in is changed: whoever
wants to serve it loads another copy.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import bitsandbytes
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from assistant.engine.base_model import BaseModel, is_out_of_memory
from feedback_db.recipe import Recipe
from trainer.encoding import IGNORED, Encoded, collate
from trainer.epoch import count_rehearsed
from trainer.errors import LossNotFiniteError, NothingToTrainError, RepackedError

_LEAST_GAIN = 0.005  # nats a token on the stop wordings; less is no better reply, and costs an epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a training reports after each optimizer step; `stop_loss` only after those at which it was measured.

    `tokens` were read so far, padding not counted.
    """

    step: int
    steps: int
    tokens: int
    loss: float
    learning_rate: float
    stop_loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How rows are fitted into memory: rows a forward pass, whether activations are computed twice, tokens a row at most."""

    micro_batch: int
    checkpointing: bool
    max_length: int


class _Rows(Dataset[Encoded]):
    """Rows with their lengths, by which the Trainer puts like with like."""

    def __init__(self, rows: Sequence[Encoded]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> Encoded:
        return self._rows[place]


class _ReplyTrainer(Trainer):
    """A Trainer whose loss is the mean over reply tokens of a whole step, the head run on the last places only.

    Of a rehearsed reply it is not the cross entropy but how far the whole distribution has drifted from the base's, `anchor` times: a
    base that is of two minds stays so, where rehearsing the likelier reply alone would tip many another.
    """

    anchor: float
    replay_share: float

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels, is_rehearsed = inputs["labels"], inputs["is_rehearsed"]  # (rows, kept), (rows)
        shown = {name: value for name, value in inputs.items() if name not in {"labels", "is_rehearsed"}}
        outputs = model(**shown, logits_to_keep=labels.shape[1])
        logits = outputs.logits[:, :-1].float()  # (rows, kept - 1, vocabulary): each place foresees the next
        wanted = labels[:, 1:].masked_fill(is_rehearsed[:, None], IGNORED)
        total = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="sum")
        if is_rehearsed.any():
            total = total + self._measure_drift(model, shown, logits, labels, is_rehearsed)
        loss = total / (num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum())
        if not torch.isfinite(loss):
            raise LossNotFiniteError(self.state.global_step)
        return (loss, outputs) if return_outputs else loss

    def _measure_drift(self, model: nn.Module, shown: dict[str, Tensor], logits: Tensor, labels: Tensor, is_rehearsed: Tensor) -> Tensor:
        """Return how far the rehearsed replies have drifted: Kullback and Leibler's divergence from the base, summed over their tokens."""
        adapted = self.accelerator.unwrap_model(model)
        with torch.no_grad(), adapted.disable_adapter():
            own = adapted(**{name: value[is_rehearsed] for name, value in shown.items()}, logits_to_keep=labels.shape[1]).logits[:, :-1]
        is_reply = labels[is_rehearsed][:, 1:] != IGNORED  # (rehearsed rows, kept - 1)
        found = logits[is_rehearsed][is_reply].log_softmax(-1)
        return nn.functional.kl_div(found, own[is_reply].float().log_softmax(-1), log_target=True, reduction="sum") * self.anchor

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return EpochSampler(list(self.train_dataset), self.replay_share, self.args.train_batch_size, seed=self.args.seed)


class EpochSampler(torch.utils.data.Sampler[int]):
    """Shuffles batches of rows of like length: little padding, and another order each epoch.

    An epoch holds every correction and, as `replay_share` of it but no fewer than hold the base still, the next of the rehearsed rows:
    over the epochs it is held still at many places, at the price of a few.
    """

    def __init__(self, rows: Sequence[Encoded], replay_share: float, batch_size: int, *, seed: int) -> None:
        self._rows, self._batch_size, self._seed, self._epoch = rows, batch_size, seed, 0
        self._corrections = [place for place, row in enumerate(rows) if not row.is_rehearsed]
        self._rehearsed = [place for place, row in enumerate(rows) if row.is_rehearsed]
        self._count = count_rehearsed(len(self._corrections), len(self._rehearsed), replay_share)

    def __len__(self) -> int:
        return len(self._corrections) + self._count

    def set_epoch(self, epoch: int) -> None:
        """Go on with the order and the rehearsed rows of an epoch, the first is 0."""
        self._epoch = epoch

    def __iter__(self) -> Any:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        first = self._epoch * self._count
        chosen = [*self._corrections, *(self._rehearsed[(first + number) % len(self._rehearsed)] for number in range(self._count))]
        places = [chosen[number] for number in torch.randperm(len(chosen), generator=generator).tolist()]
        pool = self._batch_size * 8  # rows of like length stand together within a pool only, so batches differ from epoch to epoch
        batches: list[list[int]] = []
        for start in range(0, len(places), pool):
            ordered = sorted(places[start : start + pool], key=lambda place: len(self._rows[place].ids))
            batches += [ordered[at : at + self._batch_size] for at in range(0, len(ordered), self._batch_size)]
        full = [batch for batch in batches if len(batch) == self._batch_size]
        rest = [place for batch in batches if len(batch) < self._batch_size for place in batch]
        order = torch.randperm(len(full), generator=generator).tolist()
        yield from [place for number in order for place in full[number]] + rest


class _Follow(TrainerCallback):
    """Reports steps, and stops in good order when somebody asks for it."""

    def __init__(self, publish: Callable[[Step], None], is_stopped: Callable[[], bool]) -> None:
        self._publish, self._is_stopped = publish, is_stopped
        self._last: Step | None = None

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self._last = Step(
                step=state.global_step,
                steps=state.max_steps,
                tokens=int(state.num_input_tokens_seen),
                loss=float(logs["loss"]),
                learning_rate=float(logs["learning_rate"]),
            )
            self._publish(self._last)
        elif logs and "eval_loss" in logs and self._last is not None:
            self._publish(replace(self._last, stop_loss=float(logs["eval_loss"])))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._is_stopped():
            control.should_save = control.should_training_stop = True


def finetune(
    base: BaseModel,
    train: Sequence[Encoded],
    stop: Sequence[Encoded],
    recipe: Recipe,
    checkpoints: Path,
    *,
    fit: Fit,
    publish: Callable[[Step], None],
    is_stopped: Callable[[], bool] = lambda: False,
) -> PeftModel:
    """Train an adapter on `train` and return the model that does best on `stop`, the base frozen in it.

    Interrupted, it goes on from the newest whole checkpoint. Without rows in `stop` it trains all epochs and returns the last state.

    Raises:
        NothingToTrainError: the recipe names no layer of this base.
        LossNotFiniteError: the training diverged.
        torch.OutOfMemoryError, RuntimeError, MemoryError: this fit does not fit; `is_out_of_memory` tells; see `next_fit`.
    """
    model = add_adapter(base.model, recipe)
    if fit.checkpointing:
        base.model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    pad_id = base.tokenizer.pad_token_id if base.tokenizer.pad_token_id is not None else base.tokenizer.eos_token_id
    trainer = _ReplyTrainer(
        model=model,
        args=_arguments(recipe, checkpoints, fit, device=base.device, has_stop=bool(stop)),
        train_dataset=_Rows(_shorten(train, fit.max_length)),
        eval_dataset=_Rows(_shorten(stop, fit.max_length)) if stop else None,
        data_collator=partial(collate, pad_id=pad_id),
        callbacks=[
            _Follow(publish, is_stopped),
            *([EarlyStoppingCallback(recipe.patience, early_stopping_threshold=_LEAST_GAIN)] if stop else []),
        ],
    )
    trainer.anchor, trainer.replay_share = recipe.anchor, recipe.replay_share
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=_newest_checkpoint(checkpoints))
    return model.eval()


def add_adapter(model: PreTrainedModel, recipe: Recipe) -> PeftModel:
    """Put an untrained adapter beside the layers that the recipe names; it is held in float32.

    Raises:
        NothingToTrainError: it names none of this base.
    """
    keep_gradients(model)
    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # peft divides it by the rank: any number does
        lora_dropout=recipe.dropout,
        target_modules=_list_linear(model) if recipe.target_modules is None else list(recipe.target_modules),
        layers_to_transform=None if recipe.layers is None else list(recipe.layers),
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise NothingToTrainError(" ".join(str(error).split())) from error


def _list_linear(model: PreTrainedModel) -> list[str]:
    """Name the linear layers of the decoder, such as "q_proj"; the head is none of them."""
    head = model.get_output_embeddings()
    return sorted(
        {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head}
    )


def next_fit(fit: Fit, error: Exception) -> Fit | None:
    """Return a smaller fit after a failure: smaller micro-batches, then activations computed twice, then shorter rows; None at the end.

    Returns None as well where the failure has nothing to do with memory.
    """
    if not is_out_of_memory(error):
        return None
    if fit.micro_batch > 1:
        return Fit(micro_batch=fit.micro_batch // 2, checkpointing=fit.checkpointing, max_length=fit.max_length)
    if not fit.checkpointing:
        return Fit(micro_batch=1, checkpointing=True, max_length=fit.max_length)
    return Fit(micro_batch=1, checkpointing=True, max_length=fit.max_length // 2) if fit.max_length > 256 else None


def keep_gradients(model: PreTrainedModel) -> None:
    """Keep bitsandbytes from repacking 4-bit weights for a CPU's fast inference path; to be called before the model answers anything.

    Its first forward without gradients would do so in place, and from then on nothing would flow back through the layer, silently.

    Raises:
        RepackedError: it has answered something already.
    """
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            if getattr(module.weight.quant_state, "packing_format_for_cpu", False):
                raise RepackedError
            module.support_avx512bf16_for_cpu = False


def _arguments(recipe: Recipe, checkpoints: Path, fit: Fit, *, device: torch.device, has_stop: bool) -> TrainingArguments:
    steps_apart = math.ceil(recipe.batch_size / fit.micro_batch)
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=min(fit.micro_batch, recipe.batch_size),
        per_device_eval_batch_size=min(fit.micro_batch, recipe.batch_size),
        gradient_accumulation_steps=steps_apart,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_share,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.clip_norm,
        eval_strategy="epoch" if has_stop else "no",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=has_stop,
        metric_for_best_model="eval_loss" if has_stop else None,
        prediction_loss_only=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        disable_tqdm=True,
        report_to=[],
        seed=recipe.seed,
        data_seed=recipe.seed,
        dataloader_num_workers=0,
        remove_unused_columns=False,
        label_names=["labels"],
        use_cpu=device.type == "cpu",
        bf16=device.type == "cuda",
    )


def _shorten(rows: Sequence[Encoded], max_length: int) -> list[Encoded]:
    """Drop the beginning of rows that are longer; only a fit that memory has forced gets so far."""
    return [Encoded(row.ids[-max_length:], row.labels[-max_length:], row.is_rehearsed) for row in rows]


def _newest_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that was written whole (the trainer's state is its last file), or None."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    return next((os.fspath(path) for path in found if (path / "trainer_state.json").exists()), None)
