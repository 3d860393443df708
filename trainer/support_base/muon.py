"""The optimizer of pretraining: Muon for the linear layers, Adam for everything else.

Muon (Keller Jordan, 2024) makes each update of a matrix orthogonal by Newton-Schulz iterations. Measured here, it needs about 60 % of
AdamW's tokens for the same loss. `torch.optim.Muon` iterates in bfloat16 and matrix by matrix, which is three times slower than the
training step itself on a CPU without bfloat16 instructions; this one iterates in float32 over all matrices of a shape at once.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_A, _B, _C = 3.4445, -4.7750, 2.0315  # coefficients of the quintic iteration (KellerJordan/Muon)
_ITERATIONS = 5
# Of the learning rate of the matrices, whose updates are scaled to Adam's size. Embeddings are large here (see priming), norms not.
_TABLE_RATE, _VECTOR_RATE = 2.0, 0.5


class Muon(torch.optim.Optimizer):
    """One optimizer over three groups of parameters: matrices, tables of vectors (embeddings), single vectors (norms, biases)."""

    def __init__(
        self,
        model: nn.Module,
        *,
        learning_rate: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float,
    ) -> None:
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "embed" not in name]
        tables = [parameter for name, parameter in named if parameter.ndim == 2 and "embed" in name]
        vectors = [parameter for _, parameter in named if parameter.ndim != 2]
        adam = {"orthogonal": False, "betas": betas, "weight_decay": 0.0}
        groups = [
            {"params": matrices, "orthogonal": True, "momentum": momentum, "weight_decay": weight_decay, "lr": learning_rate},
            {"params": tables, **adam, "lr": learning_rate * _TABLE_RATE},
            {"params": vectors, **adam, "lr": learning_rate * _VECTOR_RATE},
        ]
        super().__init__(groups, {"lr": learning_rate})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            update = self._update_orthogonal if group["orthogonal"] else self._update_adam
            update(group, [parameter for parameter in group["params"] if parameter.grad is not None])
        return loss

    def _update_orthogonal(self, group: dict[str, Any], parameters: Iterable[Tensor]) -> None:
        by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for parameter in parameters:
            assert parameter.grad is not None
            state = self.state[parameter]
            average = state.setdefault("average", torch.zeros_like(parameter))
            average.lerp_(parameter.grad, 1 - group["momentum"])
            direction = parameter.grad.lerp(average, group["momentum"])  # Nesterov
            wide = direction if direction.shape[0] <= direction.shape[1] else direction.T
            by_shape.setdefault(tuple(wide.shape), []).append((parameter, wide))
        for pairs in by_shape.values():
            updates = orthogonalise(torch.stack([wide for _, wide in pairs]))  # (matrices, rows ≤ columns, columns)
            for (parameter, _), found in zip(pairs, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                scale = 0.2 * max(parameter.shape) ** 0.5  # an Adam update's usual root mean square (arXiv 2502.16982)
                parameter.add_(found if found.shape == parameter.shape else found.T, alpha=-group["lr"] * scale)

    def _update_adam(self, group: dict[str, Any], parameters: Iterable[Tensor]) -> None:
        first_decay, second_decay = group["betas"]
        for parameter in parameters:
            assert parameter.grad is not None
            state = self.state[parameter]
            if not state:
                state.update(steps=0, first=torch.zeros_like(parameter), second=torch.zeros_like(parameter))
            state["steps"] += 1
            state["first"].lerp_(parameter.grad, 1 - first_decay)
            state["second"].lerp_(parameter.grad.square(), 1 - second_decay)
            first = state["first"] / (1 - first_decay ** state["steps"])
            second = state["second"] / (1 - second_decay ** state["steps"])
            parameter.addcdiv_(first, second.sqrt_().add_(1e-8), value=-group["lr"])


def orthogonalise(matrices: Tensor) -> Tensor:
    """Bring the singular values of each matrix (batch, rows ≤ columns, columns) near 1, between about 0.7 and 1.2."""
    found: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = found @ found.mT
        found = _A * found + (_B * gram + _C * (gram @ gram)) @ found
    return found
