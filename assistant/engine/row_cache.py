"""The keys and values of all rows of a batch; each row is written where it stands, however many others come and go."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers import Cache

# The keys and values of a row's first tokens, a pair for each layer: (heads, length, width).
Stretch: TypeAlias = Sequence[tuple[Tensor, Tensor]]
_ROW_STEP, _LENGTH_STEP = 8, 64


class RowCache(Cache):
    """A transformers cache, in a type of its own, whose rows are at positions of their own.

    One column more than `length` takes what padding writes.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__(layers=[])
        self._dtype = dtype
        self.rows, self.length = 0, 0
        self.bytes_a_token = 0  # how much memory one token of one row takes, once the base has written any
        self._stores: list[tuple[Tensor, Tensor]] = []  # of each layer (rows, heads, length + 1, width)
        self._range, self._places, self._index = slice(0, 0), torch.empty(0), torch.empty(0)
        self._visible = 0

    def count_bytes(self, rows: int, length: int, *, keep: int) -> int:
        """Return how much memory all takes once there is room for so many rows of so many tokens."""
        found_rows, found_length = self._choose_size(rows, length, keep)
        return found_rows * found_length * self.bytes_a_token

    def fit(self, rows: int, length: int, *, keep: int) -> None:
        """Make room for so many rows of so many tokens; the first `keep` rows stay. Where memory is short, all is as it was."""
        size = self._choose_size(rows, length, keep)
        if size == (self.rows, self.length):
            return
        if keep == 0:
            self._stores = []  # first: what nobody needs is not there twice
        grown = [(self._grow(keys, size, keep), self._grow(values, size, keep)) for keys, values in self._stores]
        self._stores, (self.rows, self.length) = grown, size

    def look_at(self, rows: slice, places: Tensor, visible: int) -> None:
        """Say where the next forward pass writes: rows of the cache, the places of their tokens (rows, tokens), and how much it sees."""
        self._range, self._places, self._visible = rows, places, visible
        self._index = torch.arange(rows.start, rows.stop, device=places.device)[:, None]

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write a layer's new keys and values, (rows, heads, tokens, width); return all that the rows can see."""
        while len(self._stores) <= layer_idx:
            self._add_layer(key_states, value_states)
        keys, values = self._stores[layer_idx]
        keys[self._index, :, self._places] = key_states.transpose(1, 2).to(self._dtype)
        values[self._index, :, self._places] = value_states.transpose(1, 2).to(self._dtype)
        return keys[self._range, :, : self._visible], values[self._range, :, : self._visible]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row's first tokens to another place."""
        for pair in self._stores:
            for store in pair:
                store[target, :, :length] = store[source, :, :length]

    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange the first tokens of two rows."""
        for pair in self._stores:
            for store in pair:
                store[[one, other], :, :length] = store[[other, one], :, :length]

    def read(self, row: int, length: int) -> Stretch:
        """Return a copy of a row's first tokens."""
        return [(keys[row, :, :length].clone(), values[row, :, :length].clone()) for keys, values in self._stores]

    def write(self, row: int, stretch: Stretch, length: int) -> None:
        """Begin a row with the first tokens of a copy."""
        if not self._stores:
            for keys, values in stretch:
                self._add_layer(keys[None], values[None])
        for pair, copied in zip(self._stores, stretch, strict=True):
            for store, states in zip(pair, copied, strict=True):
                store[row, :, :length] = states[:, :length]

    def _choose_size(self, rows: int, length: int, keep: int) -> tuple[int, int]:
        """Return how many rows of how many tokens there are to be: as they are if they do, else not more than is needed now."""
        is_enough = rows <= self.rows and length <= self.length
        if is_enough and (keep > 0 or self.length <= 2 * length):  # nobody needs what a long conversation needed
            return self.rows, self.length
        # One more than eights: the probe of a swap joins a full batch, and nobody is to wait until all has been copied for its sake.
        rounded = 1 << (rows - 1).bit_length() if rows <= _ROW_STEP // 2 else 1 - (1 - rows) // _ROW_STEP * _ROW_STEP
        return rounded, -(-length // _LENGTH_STEP) * _LENGTH_STEP

    def _add_layer(self, keys: Tensor, values: Tensor) -> None:
        size = (self.rows, self.length)
        self._stores.append((self._make(keys, size), self._make(values, size)))
        written = sum(store[:1, :, :1].numel() * store.element_size() for pair in self._stores for store in pair)
        self.bytes_a_token = max(self.bytes_a_token, written)

    def _make(self, states: Tensor, size: tuple[int, int]) -> Tensor:
        # Zeros, not whatever lies there: a key that may not be seen is multiplied all the same, and nothing times NaN is NaN.
        return states.new_zeros((size[0], states.shape[1], size[1] + 1, states.shape[3]), dtype=self._dtype)

    def _grow(self, store: Tensor, size: tuple[int, int], keep: int) -> Tensor:
        grown, length = self._make(store, size), min(store.shape[2] - 1, size[1])
        grown[:keep, :, :length] = store[:keep, :, :length]
        return grown
