"""Whose a stream is: browsers choose the names of their streams themselves, so each name belongs to whoever used it first. Pure."""

from collections import OrderedDict
from datetime import datetime, timedelta

_LASTS = timedelta(hours=24)
_MOST = 100_000


class Bindings:
    """Binds names of streams and events to people; a name that nobody has used for a day is free again."""

    def __init__(self) -> None:
        self._bound: OrderedDict[str, tuple[str, datetime]] = OrderedDict()

    def claim(self, name: str, owner: str, *, now: datetime) -> bool:
        """Bind a name that is free, or renew one's own; say whether it is this owner's now."""
        if self._find_owner(name, now) not in (None, owner):
            return False
        self._bound[name] = (owner, now)
        self._bound.move_to_end(name)
        if len(self._bound) > _MOST:
            self._bound.popitem(last=False)
        return True

    def is_owner(self, name: str, owner: str, *, now: datetime) -> bool:
        """Say whether a name is bound to this owner."""
        return self._find_owner(name, now) == owner

    def _find_owner(self, name: str, now: datetime) -> str | None:
        found = self._bound.get(name)
        return None if found is None or found[1] + _LASTS <= now else found[0]
