"""Tries out, before anybody is served, that several rows at once get what the base says to each alone."""

import torch
from torch import Tensor

from assistant.engine.base_model import BaseModel
from assistant.engine.batcher import Batcher
from assistant.errors import BaseUnsupportedError, GenerationError

_PIECES = (16, 13)  # tokens that each row reads at once: the shorter piece is padded
_READ, _WRITTEN = 2, 6  # so many pieces, and then so many single tokens
# Of how far a base's numbers lie apart: rounding moves them by a hundredth in bfloat16, a wrong mask by more than a half.
_MOST_MOVED = 0.2


def check_batching(base: BaseModel, batcher: Batcher) -> None:
    """Compare what two rows are told in pieces, one after the other, with what the base says to each row's tokens at once.

    It also warms the base up: its first pass must not be seen by two threads, and is slow.

    Raises:
        GenerationError: the base says nothing that is a number.
        BaseUnsupportedError: the rows get something else.
    """
    lengths = [min(_READ * piece + _WRITTEN, base.context_tokens - 1) for piece in _PIECES]
    with torch.inference_mode():
        vocabulary = base.model.get_input_embeddings().weight.shape[0]
        chance = torch.Generator().manual_seed(0)
        ids = [torch.randint(vocabulary, (length,), generator=chance).tolist() for length in lengths]
        for _ in range(2):  # the first pass packs the weights
            alone = [base.model(input_ids=torch.tensor([row], device=base.device)).logits[0].float() for row in ids]
        if not all(torch.isfinite(logits).all() for logits in alone):
            raise GenerationError("its numbers are not finite")
        batcher.fit(len(ids), max(lengths))
        together = _read_in_pieces(batcher, ids)
    for expected, found in zip(alone, together, strict=True):
        wanted = expected[sorted(found)]
        moved = (torch.stack([found[place] for place in sorted(found)]) - wanted).abs().max() / wanted.std()
        if not moved <= _MOST_MOVED:
            raise BaseUnsupportedError(base.name, "it says something else where several replies are written at once")


def _read_in_pieces(batcher: Batcher, ids: list[list[int]]) -> list[dict[int, Tensor]]:
    """Return the logits of each row after its places that ended a piece."""
    found: list[dict[int, Tensor]] = [{} for _ in ids]
    for step in range(_READ + _WRITTEN):
        begins = [min(step, _READ) * piece + max(0, step - _READ) for piece in _PIECES]
        pieces = [row[begin : begin + (piece if step < _READ else 1)] for row, begin, piece in zip(ids, begins, _PIECES, strict=True)]
        if not all(pieces):
            break
        positions = [list(range(begin, begin + len(piece))) for begin, piece in zip(begins, pieces, strict=True)]
        logits = batcher.forward(pieces, positions, start=0, last=[len(piece) - 1 for piece in pieces])
        for row, (begin, piece) in enumerate(zip(begins, pieces, strict=True)):
            found[row][begin + len(piece) - 1] = logits[row].float()
    return found
