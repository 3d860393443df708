"""A verified adapter at work beside a base's linear layers. The base itself is never changed, so there is nothing to undo.

peft wraps the layers in place, and a load that fails half-way leaves some of them wrapped; a hook is there while a reply is written and
gone after it. The arithmetic is peft's, step by step, for what was measured after the training must be what is served.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from assistant.engine.adapter_files import Adapter
from assistant.errors import AdapterRefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class _LowRank:
    """What an adapter adds to one linear layer; a forward hook."""

    down: Tensor  # (rank, in_features), float32
    up: Tensor  # (out_features, rank), float32
    scale: float

    def __call__(self, _layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        added = nn.functional.linear(nn.functional.linear(inputs[0].to(self.down.dtype), self.down), self.up) * self.scale
        return output + added.to(output.dtype)


FittedAdapter: TypeAlias = Sequence[tuple[nn.Linear, _LowRank]]


def fit_adapter(model: nn.Module, adapter: Adapter) -> FittedAdapter:
    """Find the layers that an adapter belongs to, and copy its matrices to where they live; the model is not touched.

    Raises:
        AdapterRefusedError: the model has no such linear layer, or one of another size.
    """
    linears = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    fitted: list[tuple[nn.Linear, _LowRank]] = []
    for name, (down, up) in adapter.layers.items():
        linear = linears.get(name)
        if linear is None:
            raise AdapterRefusedError(adapter.folder, f"it adapts {name}, which is no linear layer of the base")
        size, wanted = (down.shape[1], up.shape[0]), (linear.in_features, linear.out_features)
        if size != wanted:
            raise AdapterRefusedError(adapter.folder, f"it adapts a {name} of size {size}, and the base's is of size {wanted}")
        place, dtype = linear.weight.device, torch.float32
        fitted.append((linear, _LowRank(down=down.to(place, dtype), up=up.to(place, dtype), scale=adapter.scale)))
    return fitted


@contextmanager
def apply_adapter(fitted: FittedAdapter) -> Iterator[None]:
    """Have a block's tokens written by the model with this adapter; an empty one is the bare base."""
    with ExitStack() as hooks:
        for linear, low_rank in fitted:
            hooks.enter_context(linear.register_forward_hook(low_rank))
        yield
