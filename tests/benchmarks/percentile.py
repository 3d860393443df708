"""The percentile that all benchmarks tell."""

import math
from collections.abc import Iterable


def find_percentile(values: Iterable[float], share: float) -> float:
    """Return the least of some values that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
