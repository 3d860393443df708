"""Which questions are about the matter of an example, told by the replies that a model gives them. Pure.

Words tell little: two wordings of one question often share none. But a model that takes two questions for the same gives them much the
same sentence, whatever names and numbers it puts in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trainer.key_facts import repeats_fact, share_wording
from trainer.run_directory import Row

_SHARED_WORDING = 0.5  # share of words from which on two replies answer the same; measured in docs/learning.md
_GENERIC_SHARE = 0.05  # of the questions; a sentence that answers more of them tells nothing of what was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A reply that tells of an example's matter.

    `is_sure` where the example's wordings agree on it or it is what is trained; one wording alone may have been misread.
    """

    example_id: str
    text: str
    is_sure: bool


def list_sentences(asked: Sequence[Row], replies: Sequence[str]) -> list[Sentence]:
    """Return of each example what most of its wordings get for a reply, and what is trained.

    `asked` are the wordings that people wrote, with the reply that is trained; `replies` is what the model says to each.
    """
    trained = {row.example_id or "": row.reply for row in asked}
    by_example: dict[str, list[str]] = {}
    for row, reply in zip(asked, replies, strict=True):
        by_example.setdefault(row.example_id or "", []).append(reply)
    found = []
    for example_id, own in by_example.items():
        right = trained[example_id]
        votes = [sum(_is_alike(reply, other) for other in own) for reply in own]
        most = max(votes)
        found.append(Sentence(example_id=example_id, text=right, is_sure=True))
        found += [
            Sentence(example_id=example_id, text=reply, is_sure=most > 1 or _is_alike(reply, right))
            for reply, count in zip(own, votes, strict=True)
            if count == most
        ]
    return list(dict.fromkeys(found))


def match_sentences(replies: Sequence[str], sentences: Sequence[Sentence]) -> list[Sentence | None]:
    """Return of each reply the sentence that it is most like, a sure one before others; None where it is like none."""
    generic = max(2.0, _GENERIC_SHARE * len(replies))
    telling = [one for one in sentences if sum(_is_alike(reply, one.text) for reply in replies) <= generic]
    return [_match(reply, telling) for reply in replies]


def add_variants(train: Sequence[Row], asked: Sequence[Row], variants: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Return the rows to train, with variants in the place of changes that a program made of a wording."""
    written = {(row.example_id, row.question) for row in asked}
    by_example: dict[str | None, list[Row]] = {}
    for row in train:
        by_example.setdefault(row.example_id, []).append(row)
    found = []
    for example_id, rows in by_example.items():
        own = [row for row in rows if (row.example_id, row.question) in written]
        changes = [row for row in rows if (row.example_id, row.question) not in written]
        others = [replace(rows[0], messages=row.messages) for row in variants.get(example_id or "", ())]
        found += [*own, *others[: len(changes)], *changes[len(others) :]]
    return found


def list_variants(replay: Sequence[Row], matched: Sequence[Sentence | None], asked: Sequence[Row]) -> dict[str, list[Row]]:
    """Return by example the replay questions, with the model's replies, that surely ask what it corrects.

    None where the example goes on a conversation or where either question names what its reply is about: another name, another answer.
    """
    is_named = {row.example_id for row in asked if _names_something(row)}
    found: dict[str, list[Row]] = {}
    for row, sentence in zip(replay, matched, strict=True):
        if sentence is not None and sentence.is_sure and sentence.example_id not in is_named and not _names_something(row):
            found.setdefault(sentence.example_id, []).append(row)
    return found


def _match(reply: str, sentences: Sequence[Sentence]) -> Sentence | None:
    alike = [one for one in sentences if _is_alike(reply, one.text)]
    return max(alike, key=lambda one: (one.is_sure, share_wording(reply, one.text)), default=None)


def _names_something(row: Row) -> bool:
    said = [message for message in row.messages if message["role"] != "system"]
    return len(said) > 1 or repeats_fact(row.reply, row.question)


def _is_alike(reply: str, other: str) -> bool:
    return bool(reply) and share_wording(reply, other) >= _SHARED_WORDING
