"""Reads a reply back: which phrasing of which topic is it, and which values stand in it? Pure.

The corpus' own answers, compiled into patterns, are the judge, so an evaluation needs no second opinion and cannot be charmed: a
reply that matches no phrasing counts as wrong.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.support_base.corpus import Corpus
from trainer.support_base.grammar import compile_pattern
from trainer.support_base.turns import TurnKind
from trainer.support_base.values import slot_pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reply says: `phrasing` is the answer's template, and `masked` the whole reply with every value replaced by its slot."""

    kind: TurnKind
    topic: str
    follow_up: str | None
    phrasing: str
    values: dict[str, str]
    masked: str


@dataclass(frozen=True, slots=True)
class _Phrasing:
    kind: TurnKind
    topic: str
    follow_up: str | None
    template: str
    pattern: re.Pattern[str]
    anchor: str


class Reader:
    """Knows every phrasing of the corpus; reading one reply takes about a millisecond."""

    def __init__(self, corpus: Corpus) -> None:
        lists = corpus.common["reply"]
        self._openings = (*lists["apologise"], *lists["greet_back"], *lists["willing"])
        self._closings = lists["closings"]
        self._phrasings = [
            _Phrasing(kind, topic, follow_up, template, compile_pattern(template, _pattern_of), _anchor(template))
            for kind, topic, follow_up, template in _phrasings_of(corpus)
        ]

    def read(self, reply: str) -> Reading | None:
        """Return what the reply says, or None if it is not one phrasing of the corpus from end to end, known opening and closing aside."""
        opening = next((text for text in self._openings if reply.startswith(f"{text} ")), "")
        closing = next((text for text in self._closings if reply.endswith(f" {text}")), "")
        core = reply[len(opening) : len(reply) - len(closing)].strip()
        for phrasing in self._phrasings:
            if phrasing.anchor in core and (match := phrasing.pattern.fullmatch(core)) is not None:
                return Reading(
                    kind=phrasing.kind,
                    topic=phrasing.topic,
                    follow_up=phrasing.follow_up,
                    phrasing=phrasing.template,
                    values=match.groupdict(),
                    masked=" ".join(part for part in (opening, phrasing.template, closing) if part),
                )
        return None


def _phrasings_of(corpus: Corpus) -> Iterator[tuple[TurnKind, str, str | None, str]]:
    """Yield every answer there is, and every passage that a reply may quote, with what it answers."""
    for intent in corpus.intents.values():
        yield from _each(TurnKind.ANSWER, intent.id, intent.answers)
        yield from _each(TurnKind.REFERENCE, intent.id, intent.passages)
        yield from _each(TurnKind.CLARIFY, intent.id, intent.clarify)
        for follow_up, templates in intent.follow_ups.items():
            yield from _each(TurnKind.FOLLOW_UP, intent.id, templates, follow_up)
    for talk in corpus.small_talk.values():
        yield from _each(TurnKind.SMALL_TALK, talk.id, talk.every_answer)
    for topic in corpus.knowledge.values():
        yield from _each(TurnKind.REFERENCE, topic.id, (*topic.answers, *topic.passages))
    yield from _each(TurnKind.REFUSAL, "", corpus.refusals)
    yield from _each(TurnKind.REFERENCE_REFUSAL, "", corpus.reference_refusals)


def _each(
    kind: TurnKind, topic: str, templates: Sequence[str], follow_up: str | None = None
) -> Iterator[tuple[TurnKind, str, str | None, str]]:
    return ((kind, topic, follow_up, template) for template in templates)


def _pattern_of(slot: str) -> str:
    if slot == "persona":
        return r"[A-Z]\w+"
    return r"[A-Z]\w+(?: [A-Z]\w+)?" if slot == "company" else slot_pattern(slot)


def _anchor(template: str) -> str:
    """Return the template's longest literal piece: a quick look for it spares most of the pattern searches."""
    return max(re.split(r"\{\w+\}", template), key=len)
