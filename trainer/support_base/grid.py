"""The grid that the product serves a base on: linear layers in nf4 with double quantisation (arXiv 2305.14314).

The last part of pretraining looks at the weights through this grid and still moves the exact ones (a straight-through estimator,
arXiv 1308.3432), and the finished base is put onto it: what was trained is what is served, and quantising it takes nothing away.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel

from assistant.engine.base_model import round_weight


@contextmanager
def on_grid(model: PreTrainedModel) -> Iterator[None]:
    """Let the model compute with the rounded weights; gradients found meanwhile are those of the exact ones, which come back."""
    exact = [(weight, weight.data) for weight in _linear_weights(model)]
    for weight, data in exact:
        weight.data = round_weight(data)
    try:
        yield
    finally:
        for weight, data in exact:
            weight.data = data


def put_on_grid(model: PreTrainedModel) -> None:
    """Round the linear layers for good."""
    for weight in _linear_weights(model):
        weight.data = round_weight(weight.data)


def _linear_weights(model: PreTrainedModel) -> list[Tensor]:
    """Those that a loader quantises: all but the embeddings and the head, which shares theirs."""
    return [module.weight for module in model.base_model.modules() if isinstance(module, nn.Linear)]
