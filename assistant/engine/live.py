"""The live assistant: one thread owns the model; everybody else asks it for replies and swaps through a queue.

The sentence that must be true: a reply is written by one release from its first token to its last, and it says which. A reply is bound to
a release when it is asked for; the thread sets that release's adapter before the first token and does nothing else until the last. This
first form writes one reply after the other, so a swap waits for the reply in flight, and replies wait for each other.
"""

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import torch
from peft import PeftModel
from transformers import StoppingCriteria, TextStreamer

from assistant.engine.adapter_files import verify_adapter
from assistant.engine.base_model import BaseModel, is_out_of_memory, shorten_error
from assistant.engine.rendering import render_prompt
from assistant.engine.reply import FinishReason, Reply, Sampling
from assistant.errors import (
    AdapterRefusedError,
    AssistantClosedError,
    AssistantError,
    ContextFullError,
    GenerationError,
    NoMemoryError,
    ReleaseNotLoadedError,
)
from assistant.prompt import Message, build_messages

_PROBE = build_messages(None, [], "Hello")
_PROBE_TOKENS = 4
_KEPT_RELEASES = 4  # adapters that stay loaded, so that going back to one takes no time


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRelease:
    """What the engine needs of a release: its number and the folder of its adapter, None for the bare base."""

    version: int
    adapter: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the engine does: the live release, all that are loaded, replies waiting or being written."""

    version: int
    loaded: tuple[int, ...]
    replies: int


@dataclass(slots=True)
class _Job:
    """A reply to write, and the prompt's ids."""

    reply: Reply
    ids: list[int]


@dataclass(slots=True)
class _Load:
    """A release to load; the future is done once it is live."""

    release: ServedRelease
    done: "Future[None]" = field(default_factory=Future)


class LiveAssistant:
    """Serves one base and, of its releases, the live one and some before it. Close it, or use it as a context manager."""

    def __init__(self, base: BaseModel) -> None:
        """Serve a base; version 0, the bare base, is live until something is swapped in: do that before the first reply."""
        self.base = base
        self._model: Any = base.model  # wrapped by peft with the first adapter
        self._live = 0
        self._loaded: dict[int, Path | None] = {0: None}  # the oldest first
        self._pinned: dict[int, int] = {}
        self._replies: dict[int, Reply] = {}
        self._lock = Lock()  # over the four above
        self._numbers = itertools.count(1)
        self._jobs: SimpleQueue[_Job | _Load | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> "LiveAssistant":
        """Return the assistant itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End all replies and the thread; does nothing the second time."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for reply in self._replies.values():
                reply.cancel()
            self._jobs.put(None)
        self._thread.join()

    def stream(
        self, messages: Sequence[Message], sampling: Sampling, *, version: int | None = None, deadline_s: float | None = None
    ) -> Reply:
        """Ask for a reply, by the live release or by another loaded one; returns at once.

        Raises:
            ContextFullError: the prompt leaves no room for a reply.
            TemplateRefusedError: the chat template cannot show these messages.
            ReleaseNotLoadedError: that version is not loaded.
            AssistantClosedError: the assistant has been closed.
        """
        ids = render_prompt(self.base.tokenizer, messages)
        if len(ids) >= self.base.context_tokens:
            raise ContextFullError(self.base.context_tokens, len(ids))
        with self._lock:
            if self._closed:
                raise AssistantClosedError
            chosen = self._live if version is None else version
            if chosen not in self._loaded:
                raise ReleaseNotLoadedError(chosen, sorted(self._loaded))
            reply = Reply(next(self._numbers), chosen, sampling, len(ids), deadline_s)
            self._pinned[chosen] = self._pinned.get(chosen, 0) + 1
            self._replies[reply.id] = reply
            self._jobs.put(_Job(reply, ids))
        return reply

    def cancel(self, reply_id: int) -> None:
        """End a reply; one that has ended already is left alone."""
        with self._lock:
            reply = self._replies.get(reply_id)
        if reply is not None:
            reply.cancel()

    def swap_to(self, release: ServedRelease) -> float:
        """Make a release the live one for all replies asked for from now on; return how long it took, in milliseconds.

        Its files are verified before anything touches the model, and it must answer a probe; a refused release leaves the old one serving.

        Raises:
            AdapterCorruptError, AdapterRefusedError: it cannot be served.
            NoMemoryError: there is no room for it.
            AssistantClosedError: the assistant has been closed.
        """
        started = time.perf_counter()
        if release.adapter is not None:
            verify_adapter(release.adapter, revision=self.base.revision)
        load = _Load(release)
        with self._lock:
            if self._closed:
                raise AssistantClosedError
            self._jobs.put(load)
        load.done.result()
        return (time.perf_counter() - started) * 1000

    def status(self) -> Status:
        """Say what is live, what is loaded, and how many replies are waiting or being written."""
        with self._lock:
            return Status(version=self._live, loaded=tuple(sorted(self._loaded)), replies=len(self._replies))

    def _work(self) -> None:
        """Do one job after the other; the only code that touches the model."""
        while (job := self._jobs.get()) is not None:
            if isinstance(job, _Load):
                self._load(job)
            else:
                self._write(job)
        for reply in list(self._replies.values()):  # asked for before the end and not begun
            reply.end(FinishReason.FAILED, 0, AssistantClosedError())

    def _load(self, load: _Load) -> None:
        version, folder = load.release.version, load.release.adapter
        try:
            if version not in self._loaded:
                self._add_adapter(version, folder)
            self._probe(version, folder)
        except Exception as error:  # noqa: BLE001  the thread's outermost frame: whoever asked for the swap raises it
            load.done.set_exception(_explain(error, folder, self.base))
            if version not in self._loaded:
                self._try_drop(version)
            return
        with self._lock:
            self._loaded.pop(version, None)  # the newest last
            self._loaded[version] = folder
            self._live = version
            superfluous = [old for old in self._loaded if old not in {0, version} and not self._pinned.get(old)][:-_KEPT_RELEASES]
            for old in superfluous:
                del self._loaded[old]
        load.done.set_result(None)
        for old in superfluous:
            self._try_drop(old)

    def _add_adapter(self, version: int, folder: Path | None) -> None:
        if folder is None:
            return
        if isinstance(self._model, PeftModel):
            self._model.load_adapter(str(folder), adapter_name=_name(version))
        else:
            self._model = PeftModel.from_pretrained(self._model, str(folder), adapter_name=_name(version)).eval()

    def _try_drop(self, version: int) -> None:
        """Let go of an adapter; one that cannot be dropped costs memory, and must not cost the thread."""
        with suppress(Exception):
            self._drop_adapter(version)

    def _drop_adapter(self, version: int) -> None:
        if not isinstance(self._model, PeftModel) or _name(version) not in self._model.peft_config:
            return
        if len(self._model.peft_config) > 1:
            self._model.delete_adapter(_name(version))
        else:  # peft keeps the last one; the base without any is the base as it was loaded
            wrapped: Any = self._model
            self._model = wrapped.unload()

    def _select(self, version: int, folder: Path | None) -> None:
        """Have the next tokens written by a release."""
        if not isinstance(self._model, PeftModel):
            return
        tuner: Any = self._model.base_model
        if folder is None:
            tuner.disable_adapter_layers()
        else:
            tuner.enable_adapter_layers()
            tuner.set_adapter(_name(version))

    def _probe(self, version: int, folder: Path | None) -> None:
        """Have a release say a few tokens, all of them from finite numbers."""
        self._select(version, folder)
        ids = torch.tensor([render_prompt(self.base.tokenizer, _PROBE)], device=self.base.device)
        for _ in range(_PROBE_TOKENS):
            with torch.inference_mode():
                logits = self._model(input_ids=ids, logits_to_keep=1).logits
            if not torch.isfinite(logits).all():
                raise AdapterRefusedError(folder or Path(self.base.name), "its probe reply is made of numbers that are not finite")
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)

    def _write(self, job: _Job) -> None:
        """Write one reply from its first token to its last."""
        reply, counted = job.reply, _Counter(job.reply)
        try:
            finish = reply.why_stop()
            if finish is None:
                self._select(reply.version, self._loaded[reply.version])
                finish = self._generate(job, counted)
            reply.end(finish, counted.tokens)
        except Exception as error:  # noqa: BLE001  the thread's outermost frame: the reader raises it
            reply.end(FinishReason.FAILED, counted.tokens, _explain(error, None, self.base))
        finally:
            with self._lock:
                del self._replies[reply.id]
                self._pinned[reply.version] -= 1

    def _generate(self, job: _Job, counted: "_Counter") -> FinishReason:
        prompt = torch.tensor([job.ids], device=self.base.device)  # (1, length)
        room = min(job.reply.sampling.max_tokens, self.base.context_tokens - len(job.ids))
        streamer = _Pieces(self.base.tokenizer, job.reply)
        if job.reply.sampling.temperature > 0:
            torch.manual_seed(job.reply.sampling.seed)
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=room,
                pad_token_id=self.base.tokenizer.pad_token_id,
                streamer=streamer,
                stopping_criteria=[counted],
                **_choose(job.reply.sampling),
            )
        if counted.stopped is not None:
            return counted.stopped
        ends = self.base.model.generation_config.eos_token_id
        is_ended = int(out[0, -1]) in (ends if isinstance(ends, list) else [ends])
        return FinishReason.COMPLETE if is_ended else FinishReason.LENGTH


class _Counter(StoppingCriteria):
    """Counts tokens, and stops where the reply is cancelled or late."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.tokens = 0
        self.stopped: FinishReason | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        self.tokens += 1
        self.stopped = self._reply.why_stop()
        return torch.full((input_ids.shape[0],), self.stopped is not None, device=input_ids.device)


class _Pieces(TextStreamer):
    """Hands finished text to a reply; what may still change with the next token is held back."""

    def __init__(self, tokenizer: Any, reply: Reply) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._reply = reply

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._reply.put(text)


def _choose(sampling: Sampling) -> dict[str, Any]:
    """Return generate's arguments for a way of sampling."""
    if sampling.temperature <= 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}


def _name(version: int) -> str:
    """Name a release's adapter; a number is never used twice, so no cache can mistake one for another."""
    return f"release-{version}"


def _explain(error: Exception, folder: Path | None, base: BaseModel) -> AssistantError:
    if isinstance(error, AssistantError):
        return error
    if is_out_of_memory(error):
        return NoMemoryError("a reply" if folder is None else "an adapter", str(base.device))
    if folder is not None:
        return AdapterRefusedError(folder, f"peft cannot load it: {shorten_error(error)}")
    return GenerationError(shorten_error(error))
