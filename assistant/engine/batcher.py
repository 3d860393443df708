"""Writes many replies at once: rows join and leave a running batch at any step, each with its own release, position and way of sampling.

Rows that write stand in front, one token a step each; behind them stand rows that still read their prompt, and all of these read on
together, so many tokens at a time that those who write do not notice. Only the engine's thread comes here. One rule makes a row: tokens
that are known and not yet read are read, and where all are read, the next one is chosen.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from assistant.engine.adapter_slots import AdapterSlots
from assistant.engine.attention import Attention
from assistant.engine.base_model import BaseModel
from assistant.engine.prefix_cache import PrefixCache
from assistant.engine.reply import FinishReason, Outcome, Reply
from assistant.engine.row_cache import RowCache
from assistant.engine.sampling import Chooser, choose_tokens
from assistant.engine.text_stream import TextStream
from assistant.engine.threads import PassThreads
from assistant.errors import AssistantError

_MOST_READ = 1024  # tokens in one forward pass, padding included
_LEAST_READ = 16  # of each prompt, however many read
_READ_SHARE = 2.0  # a pass that reads may take so many times as long as one that writes
_SMOOTH = 0.2


@dataclass(slots=True, eq=False)
class Row:
    """A reply that is written: `ids` are the prompt's tokens and its own, of which the cache holds `read`; it ends at `end` tokens.

    `slot` holds its release's adapter, None is the bare base. `failure` is what ended it, where something did.
    """

    reply: Reply
    ids: list[int]
    end: int
    slot: int | None
    text: TextStream
    chooser: Chooser
    is_kept: bool = True  # what it has read is worth keeping
    read: int = 0
    failure: Exception | None = None

    @property
    def written(self) -> int:
        """How many tokens of the reply there are."""
        return len(self.ids) - self.reply.prompt_tokens

    @property
    def is_reading(self) -> bool:
        """Say whether there is more of the prompt to read than its last token."""
        return len(self.ids) - self.read > 1


class Batcher:
    """The rows under way and those that wait.

    `on_end` hears of each row that has left, and how it went, before its reply ends; `explain` words errors.
    """

    def __init__(
        self,
        base: BaseModel,
        slots: AdapterSlots,
        prefixes: PrefixCache,
        *,
        max_rows: int,
        max_cache_bytes: int,
        on_end: Callable[[Row, Outcome], None],
        explain: Callable[[Exception], AssistantError],
    ) -> None:
        self._model: Any = base.model
        self._device, self._slots, self._prefixes, self._on_end, self._explain = base.device, slots, prefixes, on_end, explain
        self._attention = Attention(base.model, base.name)
        self._ends = frozenset(_list_ends(base))
        self._cache = RowCache(self._attention.keys_dtype)
        self._threads = PassThreads()
        self._max_rows, self._max_cache_bytes = max_rows, max_cache_bytes
        self._rows: list[Row] = []
        self._waiting: deque[Row] = deque()
        self._write_s, self._read_token_s = 0.0, 0.0  # a step of those who write, a token of those who read

    @property
    def has_work(self) -> bool:
        """Say whether anything is to be done."""
        return bool(self._rows or self._waiting)

    @property
    def counts(self) -> tuple[int, int]:
        """How many rows are under way, and how many wait."""
        return len(self._rows), len(self._waiting)

    def add(self, row: Row, *, first: bool = False) -> None:
        """Take a row; one that is `first` waits for nobody, even if all places are taken."""
        if first:
            self._place(row)
        else:
            self._waiting.append(row)

    @torch.inference_mode()
    def step(self) -> int:
        """Let those go that are to end, admit others, read on a little, and write a token for each row that writes; return how many."""
        for row in [*self._rows, *self._waiting]:
            if (finish := row.reply.why_stop()) is not None:
                self._end(row, finish)
        while self._waiting and self._has_room_for(self._waiting[0]):
            self._place(self._waiting.popleft())
        writing = self._count_writing()
        if writing < len(self._rows):
            started = time.perf_counter()
            tokens = self._choose_read_length(writing)
            read = (len(self._rows) - writing) * tokens
            self._advance(writing, len(self._rows), tokens)
            self._read_token_s = _smooth(self._read_token_s, (time.perf_counter() - started) / read)
        if writing := self._count_writing():
            started = time.perf_counter()
            self._advance(0, writing, 1)
            self._write_s = _smooth(self._write_s, time.perf_counter() - started)
        return writing

    def end_all(self, error: Exception) -> None:
        """End everything with an error, without a touch of the device, which may have been lost."""
        rows = dict.fromkeys([*self._rows, *self._waiting])  # once each, even if the error came while one took another's place
        self._rows.clear()
        self._waiting.clear()
        for row in rows:
            if row.reply.outcome is None:
                row.failure = error
                self._leave(row, FinishReason.FAILED)

    def forward(self, tokens: Sequence[Sequence[int]], positions: Sequence[Sequence[int]], *, start: int, last: Sequence[int]) -> Tensor:
        """Read tokens of the rows from `start` on; return what each says after its token number `last`, (rows, vocabulary).

        `tokens` and `positions` have the shape (rows, length); a row of fewer tokens is padded at its end.
        """
        length = max(map(len, tokens))
        pad = [[0] * (length - len(row)) for row in tokens]
        ids = self._tensor([[*row, *more] for row, more in zip(tokens, pad, strict=True)])
        # Padding is at the last position, and what is written of it in the cache's last place, which nobody looks at.
        here = self._tensor([[*row, *[row[-1] for _ in more]] for row, more in zip(positions, pad, strict=True)])
        places = self._tensor([[*row, *[self._cache.length for _ in more]] for row, more in zip(positions, pad, strict=True)])
        visible = 1 + max(row[-1] for row in positions)
        if self._device.type == "cpu":
            self._threads.choose(len(tokens) * length)
        self._cache.look_at(slice(start, start + len(tokens)), places, visible)
        asked = sorted(set(last))
        out = self._model(
            input_ids=ids,
            position_ids=here,
            attention_mask=self._attention.mask(here, visible),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1 if asked == [length - 1] else self._tensor(asked),
        )
        rows = torch.arange(len(tokens), device=self._device)
        logits: Tensor = out.logits[rows, self._tensor([asked.index(place) for place in last])]
        return logits

    def forget(self) -> None:
        """Let go of what was read for next turns; rows under way stay."""
        self._prefixes.clear()

    def fit(self, rows: int, length: int) -> None:
        """Make room in the cache for so many rows of so many tokens, beside those under way."""
        self._cache.fit(rows, length, keep=len(self._rows))

    @torch.inference_mode()
    def try_out_threads(self, longest: int) -> None:
        """Find out how many threads are best for which passes, none over more than `longest` tokens; before there are rows."""

        def run(tokens: int) -> None:
            tokens = min(tokens, longest)
            self.forward([[0] * tokens], [list(range(tokens))], start=0, last=[tokens - 1])

        if self._device.type == "cpu":
            self._cache.fit(1, longest, keep=0)
            self._threads.try_out(run)

    def close(self) -> None:
        """Leave torch as it was."""
        if self._device.type == "cpu":
            self._threads.reset()

    def _has_room_for(self, row: Row) -> bool:
        rows = len(self._rows) + 1
        longest = max(one.end for one in (*self._rows, row))
        return rows <= self._max_rows and (rows == 1 or self._cache.count_bytes(rows, longest, keep=rows - 1) <= self._max_cache_bytes)

    def _place(self, row: Row) -> None:
        """Give a row a place, behind all others, and what is already read of its prompt."""
        place = len(self._rows)
        try:
            self._cache.fit(place + 1, max(one.end for one in (*self._rows, row)), keep=place)
            found = self._prefixes.find(row.reply.version, row.ids) if row.is_kept else None
            if found is not None:
                stretch, row.read = found
                self._cache.write(place, stretch, row.read)
        except Exception as error:  # noqa: BLE001  no room for it: its own reply fails, the others go on
            row.failure = error
            self._leave(row, FinishReason.FAILED)
            return
        self._rows.append(row)
        if not row.is_reading:
            self._move_in_front(place)

    def _count_writing(self) -> int:
        return next((place for place, row in enumerate(self._rows) if row.is_reading), len(self._rows))

    def _choose_read_length(self, writing: int) -> int:
        """Return how many tokens of its prompt each row that reads takes now."""
        reading = self._rows[writing:]
        most = _MOST_READ
        if writing and self._write_s and self._read_token_s:
            most = min(most, int(_READ_SHARE * self._write_s / self._read_token_s))
        return min(max(len(row.ids) - row.read for row in reading), max(most // len(reading), _LEAST_READ))

    def _advance(self, start: int, stop: int, length: int) -> None:
        """Read the next tokens of a range of rows, and choose one for each that has then read all."""
        rows = self._rows[start:stop]
        try:
            chosen = self._read_and_choose(rows, start, length)
        except Exception as error:  # noqa: BLE001  one row's fault, or a lack of memory, must not end the others
            if len(rows) == 1:
                rows[0].failure = error
                self._end(rows[0], FinishReason.FAILED)
                return
            for row in rows:
                place = self._rows.index(row)
                self._advance(place, place + 1, length)
            return
        for row, token in chosen:
            self._take(row, token)

    def _read_and_choose(self, rows: Sequence[Row], start: int, length: int) -> list[tuple[Row, int | None]]:
        tokens = [row.ids[row.read : row.read + length] for row in rows]
        positions = [list(range(row.read, row.read + len(read))) for row, read in zip(rows, tokens, strict=True)]
        self._slots.choose([row.slot for row in rows])
        logits = self.forward(tokens, positions, start=start, last=[len(read) - 1 for read in tokens])
        done = [number for number, row in enumerate(rows) if row.read + len(tokens[number]) == len(row.ids)]
        asked = [rows[number] for number in done]
        logits = logits if len(done) == len(rows) else logits[done]
        chosen = choose_tokens(logits, [row.chooser for row in asked], [row.ids for row in asked]) if done else []
        for row, read in zip(rows, tokens, strict=True):
            row.read += len(read)
        return list(zip(asked, chosen, strict=True))

    def _take(self, row: Row, token: int | None) -> None:
        """Add a token to a reply, and end it where that was the last."""
        if token is None:
            row.failure = FloatingPointError("its numbers are not finite")
            self._end(row, FinishReason.FAILED)
            return
        if row.written == 0:
            self._move_in_front(self._rows.index(row))
        row.ids.append(token)
        if token in self._ends:
            self._end(row, FinishReason.COMPLETE)
            return
        try:
            piece = row.text.push(token)
        except Exception as error:  # noqa: BLE001  what its text is like, or its stop texts, is its own matter
            row.failure = error
            self._end(row, FinishReason.FAILED)
            return
        if piece:
            row.reply.put(piece)
        if row.text.is_stopped:
            self._end(row, FinishReason.COMPLETE)
        elif len(row.ids) >= row.end:
            self._end(row, FinishReason.LENGTH)

    def _move_in_front(self, place: int) -> None:
        """Put a row that begins to write before all that still read."""
        target = min(self._count_writing(), place)
        if target == place:
            return
        one, other = self._rows[place], self._rows[target]
        self._cache.swap(place, target, max(one.read, other.read))
        self._rows[place], self._rows[target] = other, one

    def _end(self, row: Row, finish: FinishReason) -> None:
        """Take a row out, keep what it has read, and tell."""
        if row in self._waiting:
            self._waiting.remove(row)
        elif row in self._rows:
            place = self._rows.index(row)
            try:
                if finish is not FinishReason.FAILED and row.is_kept:
                    self._keep(row, place)
                self._close_gap(place)
            except Exception as error:
                row.failure = error
                self._leave(row, FinishReason.FAILED)
                raise  # the others' keys and values may be amiss
        self._leave(row, finish)

    def _keep(self, row: Row, place: int) -> None:
        if self._prefixes.max_bytes < row.read * self._cache.bytes_a_token:
            return
        with suppress(MemoryError, RuntimeError):  # torch's classes for exhausted memory: then the next turn reads all again
            self._prefixes.keep(row.reply.version, row.ids[: row.read], self._cache.read(place, row.read))

    def _close_gap(self, place: int) -> None:
        """Fill the place of a row that goes: by the last that writes, and that one's by the last of all."""
        last_writing = self._count_writing() - 1
        if place < last_writing:
            self._shift(last_writing, place)
            place = last_writing
        if place < len(self._rows) - 1:
            self._shift(len(self._rows) - 1, place)
        self._rows.pop()

    def _shift(self, source: int, target: int) -> None:
        self._cache.move(source, target, self._rows[source].read)
        self._rows[target] = self._rows[source]

    def _leave(self, row: Row, finish: FinishReason) -> None:
        try:
            if rest := row.text.finish():
                row.reply.put(rest)
        except Exception as error:  # noqa: BLE001  a reply ends, whatever its text is like
            finish, row.failure = FinishReason.FAILED, row.failure or error
        self._on_end(row, row.reply.measure(finish, row.written))
        row.reply.end(finish, row.written, None if row.failure is None else self._explain(row.failure))

    def _tensor(self, values: Sequence[Any]) -> Tensor:
        return torch.tensor(values, device=self._device)


def _list_ends(base: BaseModel) -> list[int]:
    """Return the tokens that end a reply."""
    ends = base.model.generation_config.eos_token_id if base.model.generation_config is not None else None
    listed = ends if isinstance(ends, list) else [ends]
    # Both: a configuration may name the end of a text only, and the tokenizer the end of a turn, which is what a chat ends with.
    return [end for end in (*listed, base.tokenizer.eos_token_id) if end is not None]


def _smooth(so_far: float, now: float) -> float:
    return now if so_far == 0.0 else so_far + _SMOOTH * (now - so_far)
