"""The corpus as it stands in the files of `corpus/` and `chatter/`, read and checked. Knows nothing of dialogues or models."""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from trainer.support_base import grammar, values

_HERE = Path(__file__).parent
FOLLOW_UPS = ("duration", "trouble", "cost")


class CorpusError(ValueError):
    """A corpus file breaks a rule that pretraining or evaluation relies on."""

    def __init__(self, place: str, expected: str, found: str) -> None:
        super().__init__(f"corpus, {place}: expected {expected}, found {found}; mend the file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a customer may want, how people ask for it, and how support answers.

    `entity` is the kind of entity that a question names, or None; `unnamed` are wordings that leave it out, and `clarify` asks
    back. `follow_ups` maps a kind of FOLLOW_UPS to its answers. What is `held_out` never occurs in pretraining. All texts are
    templates of `grammar`.
    """

    id: str
    family: str
    definition: str
    entity: str | None
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    unnamed: tuple[str, ...]
    held_out_unnamed: tuple[str, ...]
    answers: tuple[str, ...]
    passages: tuple[str, ...]
    follow_ups: Mapping[str, tuple[str, ...]]
    clarify: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """How people ask one kind of follow-up question."""

    questions: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallTalk:
    """A kind of small talk; `company_only` and `anonymous` answer where the system message gives less than a full name."""

    id: str
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    answers: tuple[str, ...]
    company_only: tuple[str, ...]
    anonymous: tuple[str, ...]

    @property
    def every_answer(self) -> tuple[str, ...]:
        """All answers, whatever the system message says."""
        return tuple(dict.fromkeys((*self.answers, *self.company_only, *self.anonymous)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """A topic that only a reference block can tell about; one that is held out only measures."""

    id: str
    held_out: bool
    questions: tuple[str, ...]
    passages: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What is told, whatever it is told of."""
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """All of it.

    `common` holds the plain lists: system messages, greetings, back stories, openings and closings.
    """

    intents: Mapping[str, Intent]
    small_talk: Mapping[str, SmallTalk]
    knowledge: Mapping[str, Knowledge]
    knowledge_to_train: tuple[Knowledge, ...] = field(init=False, repr=False)  # told apart once: every dialogue asks for one of the two
    knowledge_to_measure: tuple[Knowledge, ...] = field(init=False, repr=False)
    follow_ups: Mapping[str, FollowUp]
    topics: Mapping[str, tuple[str, ...]]
    held_out_topics: Mapping[str, tuple[str, ...]]
    refusals: tuple[str, ...]
    reference_refusals: tuple[str, ...]
    common: Mapping[str, Mapping[str, tuple[str, ...]]] = field(repr=False)

    def __post_init__(self) -> None:
        topics = self.knowledge.values()
        object.__setattr__(self, "knowledge_to_train", tuple(topic for topic in topics if not topic.held_out))
        object.__setattr__(self, "knowledge_to_measure", tuple(topic for topic in topics if topic.held_out))

    def knowledge_of(self, *, held_out: bool) -> tuple[Knowledge, ...]:
        """Return the topics to pretrain with, or the ones to measure with."""
        return self.knowledge_to_measure if held_out else self.knowledge_to_train


@cache
def load_corpus() -> Corpus:
    """Read every corpus file.

    Raises:
        CorpusError: a file breaks a rule; the message names the place.
    """
    clarify = _read(_HERE / "chatter" / "clarify.toml")
    intents = {
        name: _to_intent(path.stem, name, table, clarify.get(name, ()))
        for path in sorted((_HERE / "corpus").glob("*.toml"))
        for name, table in _read(path).items()
    }
    common = _read(_HERE / "chatter" / "common.toml")
    follow_ups = {kind: FollowUp(**_tuples(lists)) for kind, lists in common.pop("follow_up").items()}
    scope = _read(_HERE / "chatter" / "out_of_scope.toml")
    refusal = common.pop("refusal")
    return Corpus(
        intents=intents,
        small_talk={name: _to_small_talk(name, table) for name, table in _read(_HERE / "chatter" / "small_talk.toml").items()},
        knowledge={
            topic.id: topic for name, table in _read(_HERE / "chatter" / "knowledge.toml").items() for topic in _to_topics(name, table)
        },
        follow_ups=follow_ups,
        topics=_tuples(scope["topics"]),
        held_out_topics=_tuples(scope["held_out_topics"]),
        refusals=tuple(refusal["replies"]),
        reference_refusals=tuple(refusal["reference_replies"]),
        common={section: _tuples(lists) for section, lists in common.items()},
    )


def hash_texts() -> str:
    """Return a hash that names exactly the texts of all corpus files."""
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("c*/*.toml")):
        digest.update(f"{path.parent.name}/{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)


def _tuples(lists: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(texts) for name, texts in lists.items()}


def _to_intent(family: str, name: str, table: dict[str, Any], clarify: Sequence[str]) -> Intent:
    entity = table.get("entity")
    named = [text for text in table["questions"] if entity is None or f"{{{entity}}}" in text]
    intent = Intent(
        id=name,
        family=family,
        definition=table["definition"],
        entity=entity,
        questions=tuple(named),
        unnamed=(*(text for text in table["questions"] if text not in named), *table.get("unnamed", ())),
        held_out_unnamed=tuple(table.get("held_out_unnamed", ())),
        follow_ups={kind: tuple(table[kind]) for kind in FOLLOW_UPS if kind in table},
        clarify=tuple(clarify),
        **_tuples({key: table[key] for key in ("held_out", "answers", "passages")}),
    )
    _check_entity(intent)
    _check_same_slots(name, (*intent.answers, *intent.passages))
    for texts in intent.follow_ups.values():
        _check_same_slots(name, texts)
    return intent


def _check_entity(intent: Intent) -> None:
    if (intent.entity is None) != (not intent.clarify):
        raise CorpusError(intent.id, "a text in clarify.toml exactly where there is an entity", f"entity {intent.entity}")
    if intent.entity is not None and intent.entity not in values.ENTITY_KINDS:
        raise CorpusError(intent.id, f"an entity of {sorted(values.ENTITY_KINDS)}", intent.entity)


def _check_same_slots(place: str, texts: Sequence[str]) -> None:
    """Answers and passages of one list state the same facts, so that any of them can be told from any other."""
    if len({tuple(sorted(grammar.slots_of(text))) for text in texts}) > 1:
        raise CorpusError(place, "the same slots in every phrasing", " / ".join(texts))


def _to_small_talk(name: str, table: Mapping[str, Sequence[str]]) -> SmallTalk:
    lists = _tuples(table)
    answers = lists["answers"]
    return SmallTalk(
        id=name,
        questions=lists["questions"],
        held_out=lists["held_out"],
        answers=answers,
        company_only=lists.get("company_only", answers),
        anonymous=lists.get("anonymous", answers),
    )


def _to_topics(name: str, table: Mapping[str, Any]) -> Iterator[Knowledge]:
    """A table tells of one topic, or of as many as it lists `things`, one after another in the place of {thing}."""
    if "things" not in table:
        yield _to_knowledge(name, table)
        return
    for thing in table["things"]:
        texts = {key: [text.replace("{thing}", thing) for text in table[key]] for key in ("questions", "passages", "answers")}
        yield _to_knowledge(f"{name}:{thing}", {**table, **texts})


def _to_knowledge(name: str, table: Mapping[str, Any]) -> Knowledge:
    lists = _tuples({key: table[key] for key in ("questions", "passages", "answers")})
    topic = Knowledge(id=name, held_out=bool(table.get("held_out", False)), **lists)
    _check_same_slots(name, (*topic.passages, *topic.answers))
    return topic
