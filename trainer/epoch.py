"""How many rows an epoch holds, and how many steps a training takes. Pure."""

import math

from feedback_db.recipe import Recipe

_LEAST_REHEARSED = 120  # rows an epoch, however few corrections there are: fewer hold only themselves still


def count_rehearsed(corrections: int, there: int, replay_share: float) -> int:
    """Return how many rehearsed rows an epoch holds beside its corrections, of those that are there."""
    share = round(replay_share / (1 - replay_share) * corrections)
    return min(max(share, _LEAST_REHEARSED), there)


def count_steps(rows: int, recipe: Recipe) -> int:
    """Return how many optimizer steps a training takes at most, with this many rows an epoch."""
    return math.ceil(rows / recipe.batch_size) * recipe.epochs
