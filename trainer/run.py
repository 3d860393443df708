"""One run from its directory's inputs to its adapter and report. Each step that has been done is not done again after a kill."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from peft import PeftModel

from assistant.engine.adapter_files import CARD, Adapter, Lineage, verify_adapter, write_adapter
from assistant.engine.adapter_slots import adapted
from assistant.engine.base_model import BaseModel, Quantisation, load_base_model
from assistant.engine.rendering import hash_template
from assistant.errors import AdapterCorruptError
from assistant.prompt import Message
from feedback_db.files import write_whole
from feedback_db.reports import Report, write_report
from trainer.adapter_card import write_card
from trainer.encoding import Encoded, encode_example, list_end_ids
from trainer.errors import ExampleTooLongError, RunDirectoryError
from trainer.evaluation import compare, generate_replies, measure_confidence
from trainer.finetune import Fit, Step, finetune, keep_gradients, next_fit
from trainer.matters import add_variants, list_sentences, list_variants, match_sentences
from trainer.preflight import check_room
from trainer.run_directory import Row, RunDirectory, RunSpec

_TRIES = 3  # fits tried after the first one has exhausted the memory
_MAX_REPLY_TOKENS = 160
_REHEARSED_TOKENS = 64  # a reply that is longer is rehearsed so far
_REPLAY_BATCH = 64


class StoppedError(Exception):
    """The run was asked to end; what it has so far is saved."""


@dataclass(slots=True)
class Run:
    """Executes a run; `is_stopped` is asked between steps."""

    directory: RunDirectory
    is_stopped: Callable[[], bool]

    def execute(self) -> Report:
        """Train, write the adapter, measure, write the report.

        Raises:
            StoppedError: it was asked to end.
            TrainerError, AssistantError, FeedbackError: it cannot be done; the sentence says why.
        """
        spec = self.directory.read_spec()
        self._tell("loading")
        base = self._load_to_train(spec)
        check_room(base, spec.recipe, self.directory.folder)
        adapter = self._finished_adapter(spec) or self._train(spec, base)
        del base
        report = self._measure(spec, adapter)
        write_whole(self.directory.report, write_report(report))
        self._tell("finished")
        return report

    def _load(self, spec: RunSpec) -> BaseModel:
        base = load_base_model(spec.base, quantisation=Quantisation(spec.quantisation), device=spec.device)
        if base.revision != spec.revision:
            raise RunDirectoryError(self.directory.folder, f"the base has revision {base.revision}, and {spec.revision} was to be trained")
        if hash_template(base.tokenizer) != spec.template_hash:
            raise RunDirectoryError(self.directory.folder, "the base's chat template is another one than when the run was planned")
        return base

    def _load_to_train(self, spec: RunSpec) -> BaseModel:
        """Load the base for a training, before which it writes the replies that are rehearsed."""
        base = self._load(spec)
        keep_gradients(base.model)
        return base

    def _finished_adapter(self, spec: RunSpec) -> Adapter | None:
        """Return the adapter of an attempt that got so far."""
        if not self.directory.adapter.exists():
            return None
        try:
            return verify_adapter(self.directory.adapter, revision=spec.revision)
        except AdapterCorruptError:
            return None

    def _train(self, spec: RunSpec, base: BaseModel) -> Adapter:
        asked, stop = self.directory.read_rows("asked"), self.directory.read_rows("stop")
        replay, variants = self._answer_replay(base, asked)
        train = add_variants(self.directory.read_rows("train"), asked, variants)
        self._tell("training", examples=len(train), replayed=len(replay))
        longest = min(base.context_tokens, spec.recipe.max_length or base.context_tokens)
        fit = Fit(micro_batch=spec.recipe.batch_size, checkpointing=False, max_length=longest)
        model = self._fit(
            spec,
            base,
            [*self._encode(base, train, longest), *_rehearse(self._encode(base, replay, longest) if replay else [])],
            self._encode(base, stop, longest),
            fit,
        )
        if self.is_stopped():
            raise StoppedError
        self._tell("saving")
        lineage = _lineage(spec)

        def write_files(folder: Path) -> None:
            model.save_pretrained(os.fspath(folder))
            (folder / CARD).write_text(write_card(spec, examples=len({row.example_id for row in train})), encoding="utf-8")

        return write_adapter(self.directory.adapter, write_files, lineage)

    def _fit(self, spec: RunSpec, base: BaseModel, train: Sequence[Encoded], stop: Sequence[Encoded], fit: Fit) -> PeftModel:
        """Train, in a smaller fit where the memory does not do."""
        for _ in range(_TRIES):
            try:
                return self._finetune(spec, base, train, stop, fit)
            except (RuntimeError, MemoryError) as error:  # torch's classes for exhausted memory are RuntimeErrors
                smaller = next_fit(fit, error)
                if smaller is None:
                    raise
            fit = smaller
            self._tell("smaller", micro_batch=fit.micro_batch, checkpointing=fit.checkpointing, max_length=fit.max_length)
            base = self._load_to_train(spec)
        return self._finetune(spec, base, train, stop, fit)

    def _finetune(self, spec: RunSpec, base: BaseModel, train: Sequence[Encoded], stop: Sequence[Encoded], fit: Fit) -> PeftModel:
        started = time.monotonic()
        first: list[int] = []

        def publish(step: Step) -> None:
            first.append(step.step - 1)
            done = max(1, step.step - first[0])
            seconds = time.monotonic() - started
            self._tell(
                "training",
                step=step.step,
                steps=step.steps,
                loss=round(step.loss, 5),
                stop_loss=None if step.stop_loss is None else round(step.stop_loss, 5),
                learning_rate=step.learning_rate,
                tokens=step.tokens,
                eta_s=round(seconds / done * (step.steps - step.step), 1),
            )

        return finetune(base, train, stop, spec.recipe, self.directory.checkpoints, fit=fit, publish=publish, is_stopped=self.is_stopped)

    def _answer_replay(self, base: BaseModel, asked: Sequence[Row]) -> tuple[list[Row], dict[str, list[Row]]]:
        """Return the replay questions with the base's own replies, and apart from them, by example, those that ask what it corrects.

        To rehearse the replies to these would be to train the error: they were wrong, and not one question only. What the base says is
        kept for a later attempt.
        """
        rows = self.directory.read_rows("replay")
        kept = self.directory.folder / "replay_replies.json"
        if not kept.exists():
            self._tell("replay", questions=len(rows))
            prompts = [list(row.messages) for row in (*rows, *asked)]
            write_whole(kept, json.dumps(generate_replies(base, prompts, max_tokens=_REHEARSED_TOKENS, batch_size=_REPLAY_BATCH)))
        replies: list[str] = json.loads(kept.read_text(encoding="utf-8"))
        own = [replace(row, reply=reply) for row, reply in zip(rows, replies, strict=False)]
        matched = match_sentences([row.reply for row in own], list_sentences(asked, replies[len(rows) :]))
        rehearsed = [row for row, sentence in zip(own, matched, strict=True) if row.reply and sentence is None]
        return rehearsed, list_variants(own, matched, asked)

    def _encode(self, base: BaseModel, rows: Sequence[Row], max_length: int) -> list[Encoded]:
        """Encode rows; those that are too long are left out and told of, unless nothing is left.

        Raises:
            ExampleTooLongError: none of them fits.
        """
        end_ids = list_end_ids(base.tokenizer, base.model.generation_config.eos_token_id)
        encoded, too_long = list[Encoded](), dict[str | None, ExampleTooLongError]()
        for row in rows:
            try:
                encoded.append(encode_example(base.tokenizer, row.messages, row.reply, max_length=max_length, end_ids=end_ids))
            except ExampleTooLongError as error:
                too_long[row.example_id] = error
        if too_long and not encoded:
            raise next(iter(too_long.values()))
        if too_long:
            self._tell("left out", examples=[example_id for example_id in too_long if example_id is not None], max_length=max_length)
        return encoded

    def _measure(self, spec: RunSpec, adapter: Adapter) -> Report:
        """Have the incumbent and the candidate, read back from its files, answer the same questions."""
        rows = [row for name in ("test", "golden", "guard") for row in self.directory.read_rows(name)]
        prompts = [list(row.messages) for row in rows]
        asked = self.directory.read_rows("asked")
        self._tell("measuring", questions=len(rows))
        base = self._load(spec)
        is_bare = not self.directory.incumbent.exists()
        incumbent = None if is_bare else verify_adapter(self.directory.incumbent, revision=spec.revision)
        before = self._answer(base, incumbent, [*prompts, *(list(row.messages) for row in asked)])
        with adapted(base.model, incumbent):
            confidences = measure_confidence(base, prompts, before[: len(rows)])
        after = self._answer(base, adapter, prompts)
        taught = list_sentences(asked, before[len(rows) :])
        report = compare(spec.run_id, rows, before[: len(rows)], after, taught=taught, confidences=confidences)
        return replace(report, unwatched_count=spec.unwatched_count)

    def _answer(self, base: BaseModel, adapter: Adapter | None, prompts: Sequence[list[Message]]) -> list[str]:
        """Have the base answer with an adapter, by the same code that serves it; None is the bare base."""
        if self.is_stopped():
            raise StoppedError
        with adapted(base.model, adapter):
            return generate_replies(base, prompts, max_tokens=_MAX_REPLY_TOKENS)

    def _tell(self, phase: str, **facts: Any) -> None:
        self.directory.append_event({"at": time.time(), "phase": phase, **facts})


def _rehearse(rows: Sequence[Encoded]) -> list[Encoded]:
    """Mark rows whose replies are the base's own."""
    return [replace(row, is_rehearsed=True) for row in rows]


def _lineage(spec: RunSpec) -> Lineage:
    return Lineage(
        base=spec.base,
        revision=spec.revision,
        quantisation=spec.quantisation,
        template_hash=spec.template_hash,
        system_message=spec.system_message,
        run_id=spec.run_id,
        snapshot_id=spec.snapshot_id,
        recipe=asdict(spec.recipe),
    )
