"""Other wordings of a question: which of them train, which stop the training early, which test; and changes that need no model. Pure.

A wording's part is a hash of its words, so it is the same for ever, on every machine, and a change of case, greeting or punctuation is in
the same part as the wording that it was made from: nothing leaks from training into the test.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from feedback_db.training_records import Split
from trainer.key_facts import find_key_facts
from trainer.support_base.surface import roughen

_TRAIN_OF_HUNDRED, _STOP_OF_HUNDRED = 60, 15
_GREETINGS = ("hi", "hello", "hey", "hi there", "good morning", "hello team")
_ENDINGS = ("thanks", "thank you", "please help", "any idea?", "can you tell me?", "thanks in advance")
_EMPTY_WORDS = frozenset(
    "a an the is are am was do does did can could would will i me my you your we our it to of in on at for and or please hi hello hey "
    "thanks thank there good morning team help".split()
)
_LIKE = 0.75  # share of words in common from which on two questions are wordings of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """A question's wordings by what they are for; `train` begins with the question as it was asked."""

    train: tuple[str, ...]
    stop: tuple[str, ...]
    test: tuple[str, ...]

    def all(self) -> tuple[str, ...]:
        """Return all wordings, each once."""
        return tuple(dict.fromkeys((*self.train, *self.stop, *self.test)))


def assign_split(example_id: str, wording: str) -> Split:
    """Say what a wording of an example's question is for."""
    digest = hashlib.sha256(f"{example_id}\0{name_wording(wording)}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") % 100
    if place < _TRAIN_OF_HUNDRED:
        return Split.TRAIN
    return Split.STOP if place < _TRAIN_OF_HUNDRED + _STOP_OF_HUNDRED else Split.TEST


def is_same_wording(first: str, second: str) -> bool:
    """Say whether two wordings differ in nothing that counts: case, greeting, punctuation, the smallest words, the order."""
    return name_wording(first) == name_wording(second)


def is_same_question(first: str, second: str) -> bool:
    """Say whether two questions are near-identical: nearly the same words, and the same numbers, names and codes."""
    one, other = _words(first), _words(second)
    if not one or not other or len(one & other) < _LIKE * len(one | other):
        return False
    return find_key_facts(first.lower()) == find_key_facts(second.lower())


def change_wording(wording: str, count: int, *, seed: str) -> list[str]:
    """Return up to `count` distinct changes of a wording, as hurried, polite and careless people would type it.

    Names, numbers and codes are never misspelt, so the question stays the same one.
    """
    rng = Random(f"{seed}:{wording}")
    masked, kept = _mask(wording)
    found: dict[str, None] = {}
    for _ in range(count * 6):
        parts = [*_maybe(_GREETINGS, rng, 0.3), masked.rstrip("?.! "), *_maybe(_ENDINGS, rng, 0.25)]
        changed = _unmask(roughen(parts, rng), kept)
        if changed != wording:
            found[changed] = None
        if len(found) == count:
            break
    return list(found)


def _maybe(choices: Sequence[str], rng: Random, share: float) -> list[str]:
    return [rng.choice(choices)] if rng.random() < share else []


_PRECIOUS = re.compile(r"\S*[\d@{}<>_]\S*|(?<=[a-z,;] )[A-Z][\w'-]*|\b[A-Z]{2,}\b|\b\w+[A-Z]\w*\b")


def _mask(wording: str) -> tuple[str, list[str]]:
    """Put a slot, which no change touches, in the place of each word with digits, capitals inside a sentence, or signs."""
    kept: list[str] = []

    def hide(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"{{k{len(kept) - 1}}}"

    return _PRECIOUS.sub(hide, wording), kept


def _unmask(text: str, kept: Sequence[str]) -> str:
    return re.sub(r"\{[kK](\d+)\}", lambda match: kept[int(match[1])], text)


def name_wording(wording: str) -> str:
    """Return what a wording says once case, punctuation, greetings, the smallest words and the order are gone."""
    return " ".join(sorted(_words(wording))) or wording.lower().strip()


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"[\w'-]+", text.lower()) if word not in _EMPTY_WORDS)
