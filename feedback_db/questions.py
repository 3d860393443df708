"""When do two people ask the same? By their words alone; pure, and knows no model."""

import hashlib
import re

_POLITE_WORDS = frozenset("a an the please hi hello hey thanks".split())


def read_words(wording: str) -> tuple[str, ...]:
    """Return a wording's words in their order, without articles, greetings and thanks: those of the same words ask the same."""
    said = re.sub(r"\b(thank you|thanks in advance|many thanks)\b", "", wording.lower())
    return tuple(word for word in re.findall(r"[\w'-]+", said) if word not in _POLITE_WORDS)


def name_question(wording: str) -> str | None:
    """Return a name that all questions of the same words share, None for one without words: it is like no other."""
    words = read_words(wording)
    return hashlib.blake2b(" ".join(words).encode(), digest_size=12).hexdigest() if words else None
