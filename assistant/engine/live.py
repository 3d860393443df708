"""The live assistant: one thread owns the model; everybody else asks it for replies and swaps through a queue.

The sentence that must be true: a reply is written by one release from its first token to its last, and it says which. A reply is bound to
a release's adapter when it is asked for; the thread applies that adapter before the first token and does nothing else until the last. This
first form writes one reply after the other, so a swap waits for the reply in flight, and replies wait for each other.
"""

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import torch
from transformers import StoppingCriteria, TextStreamer

from assistant.engine.adapter_files import Adapter, verify_adapter
from assistant.engine.adapter_layers import FittedAdapter, apply_adapter, fit_adapter
from assistant.engine.base_model import BaseModel, is_out_of_memory, shorten_error
from assistant.engine.rendering import hash_template, render_prompt
from assistant.engine.reply import FinishReason, Reply, Sampling
from assistant.errors import (
    AdapterRefusedError,
    AssistantClosedError,
    AssistantError,
    ContextFullError,
    GenerationError,
    NoMemoryError,
    NothingServedError,
    ReleaseMismatchError,
    ReleaseNotLoadedError,
)
from assistant.prompt import Message, build_messages

_PROBE = build_messages(None, [], "Hello")
_PROBE_TOKENS = 4
_KEPT_RELEASES = 4  # that stay loaded beside the live one, for replies whose prompt was built for one of them


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRelease:
    """What the engine needs of a release: its number, what identifies the base it belongs to, the folder and the hash of its adapter.

    Both of the latter are None for the bare base.
    """

    version: int
    revision: str
    quantisation: str
    template_hash: str
    adapter: Path | None = None
    adapter_hash: str | None = None


def make_bare_release(base: BaseModel, version: int = 0) -> ServedRelease:
    """Return the release of a base without an adapter."""
    return ServedRelease(
        version=version, revision=base.revision, quantisation=base.quantisation, template_hash=hash_template(base.tokenizer)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the engine does: the live release (None before the first swap), all that are loaded, replies waiting or being written."""

    version: int | None
    loaded: tuple[int, ...]
    replies: int


@dataclass(slots=True)
class _Job:
    """A reply to write, the prompt's ids, and the adapter that it is bound to."""

    reply: Reply
    ids: list[int]
    adapter: FittedAdapter


@dataclass(slots=True)
class _Load:
    """A release to load, and its verified adapter, None for the bare base; the future is done once it is live."""

    release: ServedRelease
    adapter: Adapter | None
    done: "Future[None]" = field(default_factory=Future)


class LiveAssistant:
    """Serves one base and, of its releases, the live one and some before it. Close it, or use it as a context manager."""

    def __init__(self, base: BaseModel) -> None:
        """Serve releases of a base; there is none until one is swapped in."""
        self.base = base
        self._live: int | None = None
        self._loaded: dict[int, FittedAdapter] = {}  # the oldest first
        self._replies: dict[int, Reply] = {}
        self._lock = Lock()  # over the three above
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
            NothingServedError: no release has been swapped in yet.
            ReleaseNotLoadedError: that version is not loaded.
            AssistantClosedError: the assistant has been closed.
        """
        ids = render_prompt(self.base.tokenizer, messages)
        if len(ids) >= self.base.context_tokens:
            raise ContextFullError(self.base.context_tokens, len(ids))
        with self._lock:
            if self._closed:
                raise AssistantClosedError
            if self._live is None:
                raise NothingServedError
            chosen = self._live if version is None else version
            if chosen not in self._loaded:
                raise ReleaseNotLoadedError(chosen, sorted(self._loaded))
            reply = Reply(next(self._numbers), chosen, sampling, len(ids), deadline_s)
            self._replies[reply.id] = reply
            self._jobs.put(_Job(reply, ids, self._loaded[chosen]))
        return reply

    def cancel(self, reply_id: int) -> None:
        """End a reply; one that has ended already is left alone."""
        with self._lock:
            reply = self._replies.get(reply_id)
        if reply is not None:
            reply.cancel()

    def swap_to(self, release: ServedRelease) -> float:
        """Make a release the live one for all replies asked for from now on; return how long it took, in milliseconds.

        It must be of the loaded base, its files are read once and verified, and it must answer a probe with what was read; a refused
        release leaves the old one serving.

        Raises:
            ReleaseMismatchError, AdapterCorruptError, AdapterRefusedError: it cannot be served.
            NoMemoryError: there is no room for it.
            AdapterUnreadableError, GenerationError: its files cannot be read now, or the base itself fails on the probe.
            AssistantClosedError: the assistant has been closed.
        """
        started = time.perf_counter()
        load = _Load(release, self._verify(release))
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

    def _verify(self, release: ServedRelease) -> Adapter | None:
        """Compare all that identifies a release with what is there, and return its adapter as it was read."""
        loaded = make_bare_release(self.base)
        for what, expected, found in (
            ("base revision", release.revision, loaded.revision),
            ("quantisation", release.quantisation, loaded.quantisation),
            ("chat template", release.template_hash, loaded.template_hash),
        ):
            if expected != found:
                raise ReleaseMismatchError(release.version, what, expected, found)
        adapter = None if release.adapter is None else self._read_adapter(release.adapter)
        found_hash = None if adapter is None else adapter.hash
        if release.adapter_hash != found_hash:
            raise ReleaseMismatchError(release.version, "adapter", release.adapter_hash, found_hash)
        return adapter

    def _read_adapter(self, folder: Path) -> Adapter:
        try:
            return verify_adapter(folder, revision=self.base.revision)
        except (MemoryError, RuntimeError) as error:  # torch's classes for exhausted memory are RuntimeErrors
            raise _explain(error, folder, self.base) from error

    def _load(self, load: _Load) -> None:
        try:
            fitted = [] if load.adapter is None else fit_adapter(self.base.model, load.adapter)
            self._try_out(fitted, load.release.adapter)
        except Exception as error:  # noqa: BLE001  the thread's outermost frame: whoever asked for the swap raises it
            load.done.set_exception(_explain(error, load.release.adapter, self.base))
            return
        with self._lock:
            self._live = load.release.version
            self._loaded.pop(self._live, None)
            for old in list(self._loaded)[:-_KEPT_RELEASES]:
                del self._loaded[old]
            self._loaded[self._live] = fitted
        load.done.set_result(None)

    def _try_out(self, adapter: FittedAdapter, folder: Path | None) -> None:
        """Probe an adapter; where the base alone fails, too, it is not the adapter's fault.

        Raises:
            GenerationError: the base fails.
        """
        try:
            self._probe(adapter)
        except Exception:
            if folder is not None:
                self._probe_base()
            raise

    def _probe_base(self) -> None:
        try:
            self._probe([])
        except Exception as error:
            raise _explain(error, None, self.base) from error

    def _probe(self, adapter: FittedAdapter) -> None:
        """Have an adapter say a few tokens, all of them from finite numbers."""
        ids = torch.tensor([render_prompt(self.base.tokenizer, _PROBE)], device=self.base.device)
        with apply_adapter(adapter), torch.inference_mode():
            for _ in range(_PROBE_TOKENS):
                logits = self.base.model(input_ids=ids, logits_to_keep=1).logits
                if not torch.isfinite(logits).all():
                    raise FloatingPointError("the numbers of its probe reply are not finite")
                ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)

    def _write(self, job: _Job) -> None:
        """Write one reply from its first token to its last."""
        reply, counted = job.reply, _Counter(job.reply)
        try:
            finish = reply.why_stop()
            if finish is None:
                with apply_adapter(job.adapter):
                    finish = self._generate(job, counted)
            reply.end(finish, counted.tokens)
        except Exception as error:  # noqa: BLE001  the thread's outermost frame: the reader raises it
            reply.end(FinishReason.FAILED, counted.tokens, _explain(error, None, self.base))
        finally:
            with self._lock:
                del self._replies[reply.id]

    def _generate(self, job: _Job, counted: "_Counter") -> FinishReason:
        prompt = torch.tensor([job.ids], device=self.base.device)  # (1, length)
        room = min(job.reply.sampling.max_tokens, self.base.context_tokens - len(job.ids))
        streamer = _Pieces(self.base.tokenizer, job.reply)
        model: Any = self.base.model
        if job.reply.sampling.temperature > 0:
            torch.manual_seed(job.reply.sampling.seed)
        with torch.inference_mode():
            out = model.generate(
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


def _explain(error: Exception, folder: Path | None, base: BaseModel) -> AssistantError:
    if isinstance(error, AssistantError):
        return error
    if is_out_of_memory(error):
        return NoMemoryError("a reply" if folder is None else "an adapter", str(base.device))
    if folder is not None:
        return AdapterRefusedError(folder, f"it failed ({shorten_error(error)})")
    return GenerationError(shorten_error(error))
