"""What reviewers have written and not decided yet: it is there again when they come back to the question. Held in memory alone."""

from collections import OrderedDict
from dataclasses import dataclass

from feedback_db.records import CorrectionId, PersonId

_MOST = 500  # of all reviewers, the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A reply as somebody has edited it, and the wordings beside it."""

    reply: str
    wordings: str


class Drafts:
    """Drafts by reviewer, question and the correction that is edited, None where there was only a dislike."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[PersonId, str, CorrectionId | None], Draft] = OrderedDict()

    def keep(self, reviewer: PersonId, key: str, chosen: CorrectionId | None, draft: Draft) -> None:
        """Keep what a reviewer has written."""
        self._kept[reviewer, key, chosen] = draft
        self._kept.move_to_end((reviewer, key, chosen))
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def find(self, reviewer: PersonId, key: str, chosen: CorrectionId | None) -> Draft | None:
        """Return what a reviewer has written, None if nothing."""
        return self._kept.get((reviewer, key, chosen))

    def drop(self, reviewer: PersonId, key: str) -> None:
        """Let go of all that a reviewer has written of a question: it is decided."""
        for known in [one for one in self._kept if one[:2] == (reviewer, key)]:
            del self._kept[known]
