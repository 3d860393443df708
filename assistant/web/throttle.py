"""How often something may happen within a time, by a sliding window a key. Pure: knows no clock and no reason."""

from collections import OrderedDict, deque
from datetime import datetime, timedelta

_MOST_KEYS = 100_000  # strangers choose the keys; the ones that were counted longest ago are forgotten


class Throttle:
    """Lets something happen at most `most` times within `window`, for each key by itself."""

    def __init__(self, most: int, window: timedelta) -> None:
        self._most, self._window = most, window
        self._counted: OrderedDict[str, deque[datetime]] = OrderedDict()

    def count(self, key: str, *, now: datetime) -> None:
        """Count one more; of each key only as many are remembered as may happen."""
        self._counted.setdefault(key, deque(maxlen=self._most)).append(now)
        self._counted.move_to_end(key)
        if len(self._counted) > _MOST_KEYS:
            self._counted.popitem(last=False)

    def find_wait(self, key: str, *, now: datetime) -> timedelta:
        """Return how long it is until it may happen again, nothing where it may now."""
        moments = self._counted.get(key)
        if moments is None or len(moments) < self._most:
            return timedelta(0)
        return max(timedelta(0), moments[0] + self._window - now)

    def take_back(self, key: str) -> None:
        """Take the newest count of a key back: what was counted turned out not to be what is bounded."""
        if self._counted.get(key):
            self._counted[key].pop()
