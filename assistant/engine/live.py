"""The live assistant: one thread owns the model and writes all replies in one running batch; everybody else talks to it through a queue.

The sentence that must be true: a reply is written by one release from its first token to its last, and it says which. A reply is bound to
its release's slot when it is asked for, and keeps that slot until it ends. A swap writes the new adapter into a slot that no reply uses,
has it answer a probe beside the replies under way, and publishes it by one assignment: nothing waits, and nothing changes under anybody.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Condition, Lock, Thread

from assistant.engine.adapter_files import Adapter, verify_adapter
from assistant.engine.adapter_slots import AdapterSlots
from assistant.engine.base_model import BaseModel, is_out_of_memory, shorten_error
from assistant.engine.batcher import Batcher, Row
from assistant.engine.limits import EngineLimits, find_cache_bytes
from assistant.engine.loaded_releases import BARE, LoadedReleases
from assistant.engine.meter import Meter, Totals
from assistant.engine.prefix_cache import PrefixCache
from assistant.engine.rendering import hash_template, render_prompt
from assistant.engine.reply import Outcome, Reply, Sampling
from assistant.engine.sampling import make_chooser
from assistant.engine.self_check import check_batching
from assistant.engine.text_stream import TextStream
from assistant.errors import (
    AdapterRefusedError,
    AssistantClosedError,
    AssistantError,
    ContextFullError,
    GenerationError,
    NoMemoryError,
    NothingServedError,
    QueueFullError,
    ReleaseMismatchError,
    ReleaseNotLoadedError,
)
from assistant.prompt import Message, build_messages

_PROBE = build_messages(None, [], "Hello")
_PROBE_TOKENS = 4
_NO_VERSION = -1  # of a probe
_TRIED_TOKENS = 256  # in the longest pass that is tried at the start


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
    """What the engine does: the live release (None before the first swap), all that are at hand, and how busy it is.

    `rows` of `max_rows` are being written, `waiting` more replies wait; `tokens_a_second` over the last ten seconds; `first_token_ms`
    is the median of the last hundred replies, None before the first; `swaps` so far.
    """

    version: int | None
    loaded: tuple[int, ...]
    rows: int
    max_rows: int
    waiting: int
    tokens_a_second: float
    first_token_ms: float | None
    swaps: int


class LiveAssistant:
    """Serves one base and its releases. Close it, or use it as a context manager."""

    def __init__(self, base: BaseModel, limits: EngineLimits | None = None) -> None:
        """Serve releases of a base; there is none until one is swapped in.

        Raises:
            BaseUnsupportedError: several replies of this base cannot be written at once.
            NoMemoryError, GenerationError: the base fails on a first trial.
        """
        self.base, self.limits = base, limits or EngineLimits()
        self._slots = AdapterSlots(base.model, self.limits.slots)
        self._releases = LoadedReleases(self.limits.slots)
        self._known: dict[int, ServedRelease] = {}
        self._replies: dict[int, Reply] = {}
        self._changed = Condition()  # over the three above, and told of whenever a reply ends
        self._loading = Lock()  # one adapter is loaded at a time
        self._is_short_of_slots = False  # one that is loaded waits for a slot
        self._numbers = itertools.count(1)
        self._meter = Meter()
        self._inbox: SimpleQueue[Callable[[Batcher], None] | None] = SimpleQueue()
        self._closed = False
        ready: Future[None] = Future()
        self._thread = Thread(target=self._work, args=[ready], name="engine", daemon=True)
        self._thread.start()
        try:
            ready.result()
        except Exception as error:
            self._thread.join()
            self._slots.close()
            raise _explain(error, None, base) from error

    def __enter__(self) -> "LiveAssistant":
        """Return the assistant itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End all replies and the thread; does nothing the second time."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._inbox.put(None)
            self._changed.notify_all()
        self._thread.join()
        self._slots.close()

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        version: int | None = None,
        stop: Sequence[str] = (),
        deadline_s: float | None = None,
    ) -> Reply:
        """Ask for a reply, by the live release or by another known one; returns at once, or once that one's adapter is loaded again.

        The reply ends before the first of the `stop` texts.

        Raises:
            ContextFullError: the prompt leaves no room for a reply.
            TemplateRefusedError: the chat template cannot show these messages.
            NothingServedError: no release has been swapped in yet.
            ReleaseNotLoadedError: no release of that version has been swapped in or loaded.
            QueueFullError: too many replies wait already; says when to try again.
            AdapterCorruptError, AdapterRefusedError, AdapterUnreadableError, NoMemoryError: the adapter cannot be loaded again.
            AssistantClosedError: the assistant has been closed.
        """
        ids = render_prompt(self.base.tokenizer, messages)
        if len(ids) >= self.base.context_tokens:
            raise ContextFullError(self.base.context_tokens, len(ids))
        with self._changed:
            chosen = self._choose_version(version)
        slot = self._pin(chosen)
        with self._changed:
            try:
                self._check_queue()  # again: others may have come meanwhile
                reply = Reply(next(self._numbers), chosen, sampling, len(ids), deadline_s)
                self._submit(self._make_row(reply, ids, slot, stop))
            except BaseException:
                self._releases.unpin(chosen)
                self._changed.notify_all()
                raise
            self._replies[reply.id] = reply
        return reply

    def cancel(self, reply_id: int) -> None:
        """End a reply; one that has ended already is left alone."""
        with self._changed:
            reply = self._replies.get(reply_id)
        if reply is not None:
            reply.cancel()

    def swap_to(self, release: ServedRelease) -> float:
        """Make a release the live one for all replies asked for from now on; return how long it took, in milliseconds.

        It must be of the loaded base, its files are read once and verified, and it must answer a probe with what was read; a refused
        release leaves the old one serving. Replies under way go on as they began.

        Raises:
            ReleaseMismatchError, AdapterCorruptError, AdapterRefusedError: it cannot be served.
            NoMemoryError: there is no room for it.
            AdapterUnreadableError, GenerationError: its files cannot be read now, or the base itself fails on the probe.
            AssistantClosedError: the assistant has been closed.
        """
        started = time.perf_counter()
        with self._changed:
            if self._is_at_hand(release):  # a rollback waits for nobody, and for no adapter that is being loaded
                self._publish(release.version, time.perf_counter() - started)
                return (time.perf_counter() - started) * 1000
        with self._loading:
            written_s = self._load(release)
            publishing = time.perf_counter()
            with self._changed:
                self._publish(release.version, written_s + time.perf_counter() - publishing)
        return (time.perf_counter() - started) * 1000

    def load(self, release: ServedRelease) -> None:
        """Have a release at hand, so that replies can be asked of it by its version; which one is live stays as it is.

        Raises:
            as `swap_to`.
        """
        with self._loading:
            self._load(release)

    def status(self) -> Status:
        """Say what is live, what is at hand, and how busy the engine is."""
        with self._changed:
            rows, waiting = self._batcher.counts
            return Status(
                version=self._releases.live,
                loaded=self._releases.versions,
                rows=rows,
                max_rows=self.limits.rows,
                waiting=waiting,
                tokens_a_second=self._meter.tokens_a_second(),
                first_token_ms=self._meter.first_token_ms(),
                swaps=self._meter.swaps,
            )

    def check_room(self) -> None:
        """See whether a reply could be asked for now, before anything is done for it.

        Raises:
            QueueFullError: too many replies wait already; says when to try again.
        """
        with self._changed:
            self._check_queue()

    def totals(self) -> Totals:
        """Return what was done since the start."""
        with self._changed:
            return self._meter.totals()

    def _choose_version(self, version: int | None) -> int:
        """Return the version that a reply is asked of, if one can be asked for now."""
        if self._closed:
            raise AssistantClosedError
        if self._releases.live is None:
            raise NothingServedError
        chosen = self._releases.live if version is None else version
        if chosen not in self._known:
            raise ReleaseNotLoadedError(chosen, sorted(self._known))
        self._check_queue()
        return chosen

    def _check_queue(self) -> None:
        if len(self._replies) >= self.limits.rows + self.limits.waiting:
            raise QueueFullError(len(self._replies), self._meter.estimate_wait_s(len(self._replies), self.limits.rows))

    def _is_at_hand(self, release: ServedRelease) -> bool:
        """Say whether what lies in a slot, or the bare base, is what was verified of this release; under `_changed`."""
        return self._known.get(release.version) == release and self._releases.has(release.version)

    def _publish(self, version: int, taken_s: float) -> None:
        """Make a version that is at hand the live one, which took so many seconds; under `_changed`."""
        self._releases.publish(version)
        self._meter.note_swap(taken_s)

    def _pin(self, version: int) -> int | None:
        """Return the slot of a version and keep it there; where its adapter had to give way, it is loaded again.

        While an adapter waits for a slot, new replies of all but the live release come behind it: it would wait for ever for the last of
        replies that overlap.
        """
        with self._changed:
            if self._releases.has(version) and (version == self._releases.live or not self._is_short_of_slots):
                return self._releases.pin(version)
        with self._loading:
            self._load(self._known[version])
            with self._changed:
                return self._releases.pin(version)

    def _load(self, release: ServedRelease) -> float:
        """Have a release at hand; return how long its adapter took to be written into a slot, in seconds."""
        with self._changed:
            if self._is_at_hand(release):
                return 0.0
        adapter = self._verify(release)
        with self._changed:
            known = self._known.get(release.version, release)
            if known.adapter_hash != release.adapter_hash:  # what was read as this version, and replies under way, are of that one
                raise ReleaseMismatchError(release.version, "adapter", known.adapter_hash, release.adapter_hash)
            if self._releases.has(release.version):  # the same from another folder
                self._known[release.version] = release
                return 0.0
        slot, written_s = self._fill_slot(adapter)
        try:
            self._probe(slot, release.adapter)
        except Exception:
            with self._changed:
                self._releases.give_back(slot)
            raise
        with self._changed:
            self._known[release.version] = release
            self._releases.put(release.version, slot)
        return written_s

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
        if adapter is not None:
            self._slots.check(adapter)
        return adapter

    def _read_adapter(self, folder: Path) -> Adapter:
        try:
            return verify_adapter(folder, revision=self.base.revision)
        except (MemoryError, RuntimeError) as error:  # torch's classes for exhausted memory are RuntimeErrors
            raise _explain(error, folder, self.base) from error

    def _fill_slot(self, adapter: Adapter | None) -> tuple[int | None, float]:
        """Write an adapter into a slot that no reply uses; where all are in use, wait for the first to end. Returns slot and seconds."""
        if adapter is None:
            return BARE, 0.0
        with self._changed:
            try:
                while (slot := self._releases.take_slot()) is None:
                    if self._closed:
                        raise AssistantClosedError
                    self._is_short_of_slots = True
                    self._changed.wait()
            finally:
                self._is_short_of_slots = False
        try:
            if not self._slots.has_room_for(adapter):
                self._run_in_engine(lambda: self._slots.make_room(adapter))
            started = time.perf_counter()
            self._slots.write(slot, adapter)
            written_s = time.perf_counter() - started
        except Exception as error:
            with self._changed:
                self._releases.give_back(slot)
            raise _explain(error, adapter.folder, self.base) from error
        return slot, written_s

    def _probe(self, slot: int | None, folder: Path | None) -> None:
        """Have an adapter say a few tokens, all of them from finite numbers; where the base alone fails, too, it is not its fault.

        Raises:
            AdapterRefusedError: the adapter fails, and the base alone does not.
            GenerationError: the base fails.
        """
        failure = self._try_out(slot)
        if failure is None:
            return
        if folder is not None and (bare := self._try_out(BARE)) is not None:
            raise _explain(bare, None, self.base) from bare
        raise _explain(failure, folder, self.base) from failure

    def _try_out(self, slot: int | None) -> Exception | None:
        ids = render_prompt(self.base.tokenizer, _PROBE)
        row = self._make_row(Reply(0, _NO_VERSION, Sampling(max_tokens=_PROBE_TOKENS), len(ids), None), ids, slot)
        with self._changed:
            self._submit(row, first=True)
        with suppress(AssistantError):
            for _ in row.reply:
                pass
        return row.failure

    def _make_row(self, reply: Reply, ids: list[int], slot: int | None, stop: Sequence[str] = ()) -> Row:
        return Row(
            reply=reply,
            end=min(len(ids) + reply.sampling.max_tokens, self.base.context_tokens),
            ids=ids,
            slot=slot,
            text=TextStream(self._decode, stop),
            chooser=make_chooser(reply.sampling),
            is_kept=reply.version != _NO_VERSION,
        )

    def _decode(self, ids: list[int]) -> str:
        text: str = getattr(self.base.tokenizer, "backend_tokenizer", self.base.tokenizer).decode(ids, skip_special_tokens=True)
        return text

    def _submit(self, row: Row, *, first: bool = False) -> None:
        """Give a row to the engine; under `_changed`."""
        self._tell(lambda batcher: batcher.add(row, first=first))

    def _tell(self, task: Callable[[Batcher], None]) -> None:
        """Have something done between two steps of the engine; under `_changed`, so that nothing comes behind the end."""
        if self._closed:
            raise AssistantClosedError
        self._inbox.put(task)

    def forget(self) -> None:
        """Let go of all that was read for the next turns of conversations, for one of them was erased; replies under way stay.

        Raises:
            AssistantClosedError: it is closed, and holds nothing any more.
        """
        self._run_in_engine(self._batcher.forget)

    def _run_in_engine(self, task: Callable[[], None]) -> None:
        """Run something between two steps of the engine, and wait for it."""
        done: Future[None] = Future()

        def run(_: Batcher) -> None:
            try:
                task()
            except Exception as error:  # noqa: BLE001  whoever waits raises it
                done.set_exception(error)
            else:
                done.set_result(None)

        with self._changed:
            self._tell(run)
        done.result()

    def _work(self, ready: "Future[None]") -> None:
        """Write all replies, step by step; the only code that runs the model."""
        try:
            self._batcher = self._make_batcher()
        except Exception as error:  # noqa: BLE001  the thread's outermost frame: the constructor raises it
            ready.set_exception(error)
            return
        ready.set_result(None)
        batcher = self._batcher
        goes_on = True
        while goes_on:
            try:
                if goes_on := self._take_in(batcher):
                    self._meter.count_tokens(batcher.step())
            except Exception as error:  # noqa: BLE001  whatever it was, the next replies are to be written
                batcher.end_all(error)
        batcher.close()

    def _make_batcher(self) -> Batcher:
        prefixes = PrefixCache(self.limits.prefix_mb * 1_000_000)
        batcher = Batcher(
            self.base,
            self._slots,
            prefixes,
            max_rows=self.limits.rows,
            max_cache_bytes=find_cache_bytes(self.base.device),
            on_end=self._let_go,
            explain=lambda error: _explain(error, None, self.base),
        )
        check_batching(self.base, batcher)
        batcher.try_out_threads(min(self.base.context_tokens, _TRIED_TOKENS))
        return batcher

    def _take_in(self, batcher: Batcher) -> bool:
        """Take in what was asked for; wait for it where there is nothing to do. False once all is over."""
        with suppress(Empty):
            while True:
                told = self._inbox.get(block=not (batcher.has_work or self._closed))
                if told is not None:
                    told(batcher)
                if self._closed:
                    with self._changed:
                        for reply in self._replies.values():
                            reply.cancel()
        return batcher.has_work or not self._closed

    def _let_go(self, row: Row, outcome: Outcome) -> None:
        """Forget a reply that ends, and let its release's slot go."""
        if row.reply.version == _NO_VERSION:
            return
        with self._changed:
            del self._replies[row.reply.id]
            self._meter.note_reply(outcome)
            self._releases.unpin(row.reply.version)
            self._changed.notify_all()


def _explain(error: BaseException, folder: Path | None, base: BaseModel) -> AssistantError:
    if isinstance(error, AssistantError):
        return error
    if is_out_of_memory(error):
        return NoMemoryError("a reply" if folder is None else "an adapter", str(base.device))
    if folder is not None:
        return AdapterRefusedError(folder, f"it failed ({shorten_error(error)})")
    return GenerationError(shorten_error(error))
