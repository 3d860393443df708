"""Which release's adapter lies in which slot, and how many replies use it. Pure bookkeeping; whoever calls it holds a lock.

A slot that a reply uses, or that is live, keeps its adapter; of the others the one used longest ago gives way, and the one that was live
before only where there is no other.
"""

from collections import OrderedDict

# The place of a release without an adapter: it takes no slot, and is always loaded.
BARE = None


class LoadedReleases:
    """The releases at hand, in so many slots. `live` and `previous` (for the rollback) are versions, None before there is one."""

    def __init__(self, slots: int) -> None:
        self.live: int | None = None
        self.previous: int | None = None
        self._free = list(range(slots))
        self._slots: OrderedDict[int, int | None] = OrderedDict()  # by version, the one used last at the end
        self._users: dict[int, int] = {}

    @property
    def versions(self) -> tuple[int, ...]:
        """Which versions are at hand."""
        return tuple(sorted(self._slots))

    def has(self, version: int) -> bool:
        """Say whether a version is at hand."""
        return version in self._slots

    def pin(self, version: int) -> int | None:
        """Return the slot of a version that is at hand, and keep it there until it is unpinned as often as it was pinned."""
        self._users[version] = self._users.get(version, 0) + 1
        self._slots.move_to_end(version)
        return self._slots[version]

    def unpin(self, version: int) -> None:
        """Have one reply fewer use a version."""
        self._users[version] -= 1
        if not self._users[version]:
            del self._users[version]

    def take_slot(self) -> int | None:
        """Return a slot that may be written, None while replies use them all."""
        if self._free:
            return self._free.pop()
        kept = {self.live, *self._users}
        able = [version for version, slot in self._slots.items() if slot is not BARE and version not in kept]
        if not able:
            return None
        return self._slots.pop(next((version for version in able if version != self.previous), able[0]))

    def give_back(self, slot: int | None) -> None:
        """Return a slot whose adapter is not served after all."""
        if slot is not BARE:
            self._free.append(slot)

    def put(self, version: int, slot: int | None) -> None:
        """Say that a version is at hand now."""
        self._slots[version] = slot

    def publish(self, version: int) -> None:
        """Make a version that is at hand the live one."""
        if version != self.live:
            self.previous, self.live = self.live, version
        self._slots.move_to_end(version)
