"""Chooses the next token of each row, each in its own way and with its own seed, whatever the other rows of the batch are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from assistant.engine.reply import Sampling

_COLD = 1e-5  # a temperature up to which the likeliest token is certain, and numbers would run over


@dataclass(frozen=True, slots=True, eq=False)
class Chooser:
    """How one reply's tokens are chosen, and the source of its chances."""

    sampling: Sampling
    random: Random


def make_chooser(sampling: Sampling) -> Chooser:
    """Begin to choose the tokens of a reply."""
    return Chooser(sampling, Random(sampling.seed))


def choose_tokens(logits: Tensor, choosers: Sequence[Chooser], seen: Sequence[list[int]]) -> list[int | None]:
    """Return the next token of each row, None where its numbers are not finite.

    Args:
        logits: (rows, vocabulary).
        choosers: how to choose, a row each.
        seen: the tokens of each row so far, which a repetition penalty makes less likely (arXiv 1909.05858).
    """
    logits = logits.float()
    for row, chooser in enumerate(choosers):
        if chooser.sampling.repetition_penalty != 1.0:
            logits[row] = _penalise(logits[row], seen[row], chooser.sampling.repetition_penalty)
    most, likeliest = (found.tolist() for found in logits.max(-1))
    chosen: list[int | None] = [token if math.isfinite(value) else None for value, token in zip(most, likeliest, strict=True)]
    drawn = [row for row, chooser in enumerate(choosers) if chooser.sampling.temperature > _COLD and chosen[row] is not None]
    if drawn:
        for row, token in zip(drawn, _draw(logits[drawn], [choosers[row] for row in drawn]), strict=True):
            chosen[row] = token
    return chosen


def _penalise(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    places = torch.tensor(sorted(set(seen)), device=logits.device, dtype=torch.long)
    found = logits[places]
    return logits.index_copy(0, places, torch.where(found > 0, found / penalty, found * penalty))


def _draw(logits: Tensor, choosers: Sequence[Chooser]) -> list[int]:
    """Draw a token for each row: the likeliest ones first, cut by top-k and top-p (arXiv 1904.09751), then by chance."""

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=logits.device, dtype=torch.float32)[:, None]

    ways = [chooser.sampling for chooser in choosers]
    sorted_logits, tokens = (logits / column([way.temperature for way in ways])).sort(-1, descending=True)
    shares = sorted_logits.softmax(-1)
    before = shares.cumsum(-1) - shares  # what the likelier ones have together
    ranks = torch.arange(logits.shape[-1], device=logits.device)
    kept = (before < column([way.top_p for way in ways])) & (
        ranks < column([min(way.top_k or logits.shape[-1], logits.shape[-1]) for way in ways])
    )
    kept[:, 0] = True
    sums = (shares * kept).cumsum(-1)
    goals = column([chooser.random.random() for chooser in choosers]) * sums[:, -1:]
    places = (sums <= goals).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    # A goal on the last sum's edge may point behind what is kept: take the last that is.
    places = places.minimum(kept.sum(-1, keepdim=True) - 1)
    return [int(token) for token in tokens.gather(-1, places)[:, 0].tolist()]
