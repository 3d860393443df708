"""Adapters of several releases at work in one batch, stacked beside the base's linear layers. The base itself is never changed.

Each layer has one pair of stacks in which every slot has its lines, so rows of several releases need one product and a gate, and a new
adapter is written into a free slot while the others serve. The arithmetic is peft's, step by step, for what was measured after the
training must be what is served.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from assistant.engine.adapter_files import Adapter
from assistant.errors import AdapterRefusedError

_RANK_STEP = 8


@dataclass(slots=True)
class _Choice:
    """Which lines of the stacks the rows of the next forward pass use: none, those of one slot for all, or of one slot each (`closed`)."""

    lines: slice | None = None
    slot: int | None = None
    closed: Tensor | None = None  # (rows, 1, lines): True where a line is of another slot
    scales: Tensor | float = 1.0  # a number, or (rows, 1, 1)


@dataclass(slots=True)
class _Stack:
    """What is added to one linear layer; a forward hook."""

    linear: nn.Linear
    choice: _Choice
    down: Tensor | None = None  # (slots * rank, in_features), float32
    up: Tensor | None = None  # (slots * rank, out_features), float32
    filled: set[int] = field(default_factory=set)

    def __call__(self, _layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        choice, down, up = self.choice, self.down, self.up
        if down is None or up is None or choice.lines is None or (choice.closed is None and choice.slot not in self.filled):
            return None
        inner = nn.functional.linear(inputs[0].to(down.dtype), down[choice.lines])
        if choice.closed is not None:
            # Filled, not multiplied with zeros: another release's lines may have run over, and nothing times infinity is no number.
            inner.masked_fill_(choice.closed, 0.0)
        added = (inner * choice.scales) @ up[choice.lines]
        return output + added.to(output.dtype)


class AdapterSlots:
    """So many adapters beside a model's linear layers. `write` may run in any thread, all else where the model runs."""

    def __init__(self, model: nn.Module, count: int) -> None:
        self.count, self.rank = count, 0
        self._choice = _Choice()
        self._scales = [1.0] * count
        self._stacks = {name: _Stack(layer, self._choice) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
        self._hooks = [stack.linear.register_forward_hook(stack) for stack in self._stacks.values()]

    def close(self) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()

    def check(self, adapter: Adapter) -> None:
        """Make sure that every layer of an adapter is one of the model's.

        Raises:
            AdapterRefusedError: the model has no such linear layer, or one of another size.
        """
        for name, (down, up) in adapter.layers.items():
            if name not in self._stacks:
                raise AdapterRefusedError(adapter.folder, f"it adapts {name}, which is no linear layer of the base")
            linear = self._stacks[name].linear
            size, wanted = (down.shape[1], up.shape[0]), (linear.in_features, linear.out_features)
            if size != wanted:
                raise AdapterRefusedError(adapter.folder, f"it adapts a {name} of size {size}, and the base's is of size {wanted}")

    def has_room_for(self, adapter: Adapter) -> bool:
        """Say whether an adapter can be written without `make_room`."""
        return adapter.rank <= self.rank and all(self._stacks[name].down is not None for name in adapter.layers)

    def make_room(self, adapter: Adapter) -> None:
        """Give all slots the rank of an adapter, and stacks to its layers; between two forward passes."""
        rank = max(self.rank, -(-adapter.rank // _RANK_STEP) * _RANK_STEP)
        grown = []
        for name, stack in self._stacks.items():
            if stack.down is not None or name in adapter.layers:
                place = stack.linear.weight.device
                down = torch.zeros(self.count, rank, stack.linear.in_features, device=place)
                up = torch.zeros(self.count, rank, stack.linear.out_features, device=place)
                if stack.down is not None and stack.up is not None:
                    down[:, : self.rank] = stack.down.view(self.count, self.rank, -1)
                    up[:, : self.rank] = stack.up.view(self.count, self.rank, -1)
                grown.append((stack, down.flatten(0, 1), up.flatten(0, 1)))
        for stack, down, up in grown:  # only once there is memory for all: half a model of another rank would say something else
            stack.down, stack.up = down, up
        self.rank = rank

    @torch.no_grad()
    def write(self, slot: int, adapter: Adapter) -> None:
        """Write an adapter into a slot that no row uses, and that none may use before this returns."""
        for name, stack in self._stacks.items():
            if stack.down is None or stack.up is None:
                continue
            pair = adapter.layers.get(name)
            if pair is None and slot not in stack.filled:
                continue
            begin, end, whole = slot * self.rank, slot * self.rank + adapter.rank, slice(slot * self.rank, (slot + 1) * self.rank)
            # Both are emptied: what was there before may run over, and nothing times infinity is no number.
            if pair is None:
                stack.filled.discard(slot)
                stack.down[whole] = stack.up[whole] = 0.0
                continue
            stack.filled.add(slot)  # first: what is written half is to be emptied, too
            stack.down[begin:end] = pair[0]
            stack.up[begin:end] = pair[1].T
            stack.down[end : whole.stop] = stack.up[end : whole.stop] = 0.0
        self._scales[slot] = adapter.scale

    def choose(self, slots: Sequence[int | None]) -> None:
        """Say which slot each row of the next forward pass uses, None for the bare base."""
        used = {slot for slot in slots if slot is not None}
        choice = self._choice
        choice.lines, choice.slot, choice.closed, choice.scales = None, None, None, 1.0
        if not used:
            return
        first, last = min(used), max(used)
        choice.lines = slice(first * self.rank, (last + 1) * self.rank)
        if len(set(slots)) == 1:
            choice.slot, choice.scales = first, self._scales[first]
            return
        device = next(iter(self._stacks.values())).linear.weight.device
        owner = torch.tensor([-1 if slot is None else slot for slot in slots], device=device)[:, None, None]
        choice.closed = torch.arange(first, last + 1, device=device).repeat_interleave(self.rank) != owner
        choice.scales = torch.tensor([1.0 if slot is None else self._scales[slot] for slot in slots], device=device)[:, None, None]


@contextmanager
def adapted(model: nn.Module, adapter: Adapter | None) -> Iterator[None]:
    """Have all that a block computes with a model be computed with an adapter, None for the bare model.

    Raises:
        AdapterRefusedError: the adapter is not of this model.
    """
    slots = AdapterSlots(model, 1)
    try:
        if adapter is not None:
            slots.check(adapter)
            slots.make_room(adapter)
            slots.write(0, adapter)
            slots.choose([0])
        yield
    finally:
        slots.close()
