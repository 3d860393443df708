"""Dialogues drawn from the corpus: what the base is pretrained on, and, from the held-out wordings and names, what measures it.

Everything is a function of the random generator that is passed in. A `Turn` says what kind of reply it wants, so that an
evaluation can check the model's own reply against it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from assistant.prompt import Message, add_reference, build_messages
from trainer.support_base import names, surface, values
from trainer.support_base.corpus import Corpus, Intent, Knowledge
from trainer.support_base.grammar import fill_slots, pick_alternatives, slots_of
from trainer.support_base.surface import Tone, Wording


class TurnKind(StrEnum):
    """What a turn asks of the reply."""

    ANSWER = "answer"
    CLARIFY = "clarify"
    FOLLOW_UP = "follow_up"
    SMALL_TALK = "small_talk"
    REFUSAL = "refusal"
    REFERENCE = "reference"
    REFERENCE_REFUSAL = "reference_refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A message and the reply it should get.

    `topic` is the intent, kind of small talk, topic of knowledge or out-of-scope topic; `entity` is the name that the reply must
    say, or None; `follow_up` is the kind of follow-up, or None; `facts` are the values that the reply must take from the reference
    block and `distractors` the values in the block that it must not.
    """

    kind: TurnKind
    topic: str
    user: str
    reply: str
    entity: str | None = None
    follow_up: str | None = None
    facts: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A system message (or None) and the turns under it."""

    system: str | None
    turns: tuple[Turn, ...]

    def messages(self) -> list[Message]:
        """Return the whole dialogue as chat messages, the last reply included."""
        *earlier, last = [(turn.user, turn.reply) for turn in self.turns]
        return [*build_messages(self.system, earlier, last[0]), {"role": "assistant", "content": last[1]}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Who the system message says that the assistant is; None where it does not say."""

    system: str | None
    name: str | None
    company: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference block for one question: the passages in the order shown, and the right one's facts (none if it is not there)."""

    passages: tuple[str, ...]
    facts: Mapping[str, str]
    verbatim: str | None
    distractors: tuple[str, ...]


_NOT_ANSWERED = frozenset({TurnKind.CLARIFY, TurnKind.REFERENCE_REFUSAL})
# How a name is said where a follow-up consists of little else.
_SAID_AS = {
    "product": "(the|the|my|) {product}",
    "device": "(the|the|my|) {device}",
    "service": "(a|the|) {service}",
    "plan": "(the {plan} plan|{plan}|the {plan} one)",
    "error": "(error|code|) {error}",
    "order": "(order|number|) {order}",
    "repair": "(repair|number|) {repair}",
    "promo": "(the code|code|) {promo}",
}
_TURN_COUNTS = (1, 2, 3, 4, 5, 6, 8, 10)
_TURN_COUNT_WEIGHTS = (36, 22, 15, 9, 6, 5, 4, 2)
_LONG_SHARE = 0.035


def draw_dialogue(corpus: Corpus, rng: Random) -> Dialogue:
    """Draw a pretraining dialogue: one to ten turns, some of over twenty, so that long contexts are trained, too."""
    composer = Composer(corpus, rng, held_out=False)
    is_long = rng.random() < _LONG_SHARE
    count = rng.randint(14, 26) if is_long else rng.choices(_TURN_COUNTS, _TURN_COUNT_WEIGHTS)[0]
    return composer.compose(count, reference_share=rng.choices((0.0, 0.4, 1.0), (52, 20, 28))[0])


def draw_simple_dialogue(corpus: Corpus, rng: Random) -> Dialogue:
    """Draw a dialogue of a single turn without a reference block."""
    return Composer(corpus, rng, held_out=False).compose(1, reference_share=0.0)


class Composer:
    """Composes one dialogue turn by turn; remembers what the last turns were about.

    With `held_out` the wordings, the names and the out-of-scope topics are those that never occur in pretraining.
    """

    def __init__(self, corpus: Corpus, rng: Random, *, held_out: bool) -> None:
        self._corpus = corpus
        self._rng = rng
        self._held_out = held_out
        self.persona = draw_persona(corpus, rng)
        self.turns: list[Turn] = []
        self._intents = tuple(corpus.intents.values())
        self._sources: tuple[Intent | Knowledge, ...] = (*self._intents, *corpus.knowledge.values())

    def compose(self, count: int, *, reference_share: float) -> Dialogue:
        """Add `count` turns, this share of the questions with a reference block, and return the dialogue."""
        for _ in range(count):
            self._add_next(reference_share)
        return self.dialogue()

    def persona_told(self) -> tuple[str, ...]:
        """Return the names that the system message tells."""
        return tuple(name for name in (self.persona.name, self.persona.company) if name is not None)

    def dialogue(self) -> Dialogue:
        """Return what has been composed so far."""
        return Dialogue(system=self.persona.system, turns=tuple(self.turns))

    def _add_next(self, reference_share: float) -> None:
        rng, last = self._rng, self.turns[-1] if self.turns else None
        if last is not None and last.kind is TurnKind.CLARIFY and rng.random() < 0.85:
            self.add_supply(self._corpus.intents[last.topic])
        elif last is not None and last.topic in self._corpus.intents and last.kind not in _NOT_ANSWERED and rng.random() < 0.42:
            self.add_follow_up(self._corpus.intents[last.topic])
        elif rng.random() < reference_share:
            self.add_reference_question(answerable=rng.random() < 0.78)
        else:
            roll = rng.random()
            if roll < 0.74:
                self.add_question(rng.choice(self._intents))
            elif roll < 0.87:
                self.add_small_talk(rng.choice(tuple(self._corpus.small_talk)))
            else:
                self.add_out_of_scope()

    def add_question(self, intent: Intent) -> Turn:
        """Add a question about an intent; where it leaves out the entity, the reply asks for it."""
        template = self._rng.choice(intent.held_out if self._held_out else intent.questions)
        wording = self._type(template)
        if intent.entity is None:
            return self._add_answer(intent, wording, entity=None)
        if f"{{{intent.entity}}}" not in template:
            return self._add(self._clarify(intent, wording))
        return self._add_answer(intent, wording, entity=self.draw_entity(intent.entity))

    def add_clarification(self, intent: Intent) -> Turn:
        """Add a question about an intent that leaves out the entity (a pretrained wording: there are no others), and the question back."""
        wording = self._type(self._rng.choice(intent.questions_naming_entity(named=False)))
        return self._add(self._clarify(intent, wording))

    def add_supply(self, intent: Intent) -> Turn:
        """Add the name that a clarifying reply asked for, and the answer."""
        assert intent.entity is not None
        text = self._type_follow_up("supply", intent.entity)
        return self._add_answer(intent, _plain(text), entity=self.draw_entity(intent.entity), follow_up="supply")

    def add_follow_up(self, intent: Intent, kind: str | None = None) -> Turn:
        """Add a question that only the turn before explains; a random kind where none is given."""
        kinds = [*intent.follow_ups] + ([] if intent.entity is None else ["other_entity", "other_entity"])
        kind = kind or self._rng.choice(kinds)
        text = self._type_follow_up(kind, intent.entity)
        if kind == "other_entity":
            assert intent.entity is not None
            return self._add_answer(intent, _plain(text), entity=self.draw_entity(intent.entity), follow_up=kind)
        answer = self._fill(self._phrase(intent.follow_ups[kind], Tone.NEUTRAL), {})
        return self._add(Turn(kind=TurnKind.FOLLOW_UP, topic=intent.id, user=text, reply=answer, follow_up=kind))

    def add_small_talk(self, kind: str) -> Turn:
        """Add small talk; who answers is said as far as the system message tells it."""
        talk = self._corpus.small_talk[kind]
        text = surface.type_short(self._rng.choice(talk.held_out if self._held_out else talk.questions), self._rng)
        nameless = talk.anonymous if self.persona.company is None else talk.company_only
        options = nameless if self.persona.name is None else talk.answers
        told = {"persona": self.persona.name or "", "company": self.persona.company or ""}
        reply = fill_slots(self._phrase(options, Tone.NEUTRAL), told)
        return self._add(Turn(kind=TurnKind.SMALL_TALK, topic=kind, user=text, reply=reply))

    def add_out_of_scope(self) -> Turn:
        """Add a question that no support desk can know."""
        topics = self._corpus.held_out_topics if self._held_out else self._corpus.topics
        topic = self._rng.choice(tuple(topics))
        wording = self._type(self._rng.choice(topics[topic]))
        text = self._fill(wording.text, {})
        reply = self._phrase(self._corpus.refusals, Tone.NEUTRAL)
        return self._add(Turn(kind=TurnKind.REFUSAL, topic=topic, user=text, reply=reply))

    def add_reference_question(self, *, answerable: bool) -> Turn:
        """Add a question with one to four passages before it, the right one among them or not."""
        if self._rng.random() < 0.36:
            return self._add_knowledge_question(self._rng.choice(tuple(self._corpus.knowledge.values())), answerable=answerable)
        return self._add_intent_reference(self._rng.choice(self._intents), answerable=answerable)

    def draw_entity(self, kind: str) -> str:
        """Draw a name of the kind from the part of the names that this dialogue may use."""
        return values.draw_entity(kind, self._rng, held_out=self._held_out)

    def _add_intent_reference(self, intent: Intent, *, answerable: bool) -> Turn:
        rng = self._rng
        templates = intent.held_out if self._held_out else intent.questions_naming_entity(named=intent.entity is not None)
        wording = self._type(rng.choice(templates))
        entity = {} if intent.entity is None else {intent.entity: self.draw_entity(intent.entity)}
        facts = self._draw_values(intent.answers[0], entity)
        verbatim = fill_slots(rng.choice(intent.answers), facts) if rng.random() < 0.35 else None
        if verbatim is not None:
            asked = fill_slots(pick_alternatives(rng.choice(templates), rng), facts)
            right = f"Q: {asked[:1].upper()}{asked[1:]} A: {verbatim}"
        else:
            right = fill_slots(rng.choice((*intent.passages, *intent.passages, *intent.answers)), facts)
        near = None
        if intent.entity is not None and rng.random() < 0.5:
            near = self._draw_passage(intent, exclude=facts[intent.entity])
        told = {slot: value for slot, value in facts.items() if slot != intent.entity}
        return self._add_with_reference(intent.id, intent.answers, wording, facts, told, right, verbatim, near, answerable=answerable)

    def _add_knowledge_question(self, topic: Knowledge, *, answerable: bool) -> Turn:
        rng = self._rng
        facts = self._draw_values(topic.answers[0], {})
        wording = self._type(rng.choice(topic.questions))
        answer = rng.choice(topic.answers)
        verbatim = fill_slots(answer, facts) if rng.random() < 0.35 else None
        right = (
            f"Q: {_sentence(fill_slots(rng.choice(topic.questions), facts))} A: {verbatim}"
            if verbatim
            else fill_slots(rng.choice(topic.passages), facts)
        )
        asked = {slot for question in topic.questions for slot in slots_of(question)}
        told = {slot: value for slot, value in facts.items() if slot not in asked}
        return self._add_with_reference(topic.id, topic.answers, wording, facts, told, right, verbatim, None, answerable=answerable)

    def _add_with_reference(
        self,
        topic: str,
        answers: Sequence[str],
        wording: Wording,
        facts: Mapping[str, str],
        told: Mapping[str, str],
        right: str,
        verbatim: str | None,
        near: tuple[str, tuple[str, ...]] | None,
        *,
        answerable: bool,
    ) -> Turn:
        """Shuffle the right passage among distractors, or leave it out, and add the turn."""
        rng = self._rng
        count = rng.choice((0, 1, 1, 2, 2, 3)) if answerable else rng.choice((1, 1, 2, 3))
        others = [] if near is None else [near]
        while len(others) < count:
            others.append(self._draw_other_passage(topic))
        passages = [text for text, _ in others] + ([right] if answerable else [])
        rng.shuffle(passages)
        user = add_reference(passages, fill_slots(wording.text, facts))
        distractors = tuple(value for _, found in others for value in found if value not in told.values())
        if not answerable:
            reply = self._phrase(self._corpus.reference_refusals, Tone.NEUTRAL)
            return self._add(Turn(kind=TurnKind.REFERENCE_REFUSAL, topic=topic, user=user, reply=reply, distractors=distractors))
        core = verbatim if verbatim is not None else fill_slots(self._phrase(answers, wording.tone), facts)
        reply = self._frame(core, wording)
        return self._add(
            Turn(kind=TurnKind.REFERENCE, topic=topic, user=user, reply=reply, facts=tuple(told.values()), distractors=distractors)
        )

    def _draw_other_passage(self, topic: str) -> tuple[str, tuple[str, ...]]:
        """Draw a passage about anything but the topic, with its values."""
        while True:
            source = self._rng.choice(self._sources)
            if source.id != topic:
                return self._draw_passage(source)

    def _draw_passage(self, source: Intent | Knowledge, *, exclude: str | None = None) -> tuple[str, tuple[str, ...]]:
        """Draw a passage and its facts; never about the entity `exclude`."""
        kind = source.entity if isinstance(source, Intent) else None
        entity = {}
        if kind is not None:
            name = self.draw_entity(kind)
            while exclude is not None and name.lower() == exclude.lower():
                name = self.draw_entity(kind)
            entity = {kind: name}
        facts = self._draw_values(source.passages[0], entity)
        text = fill_slots(self._rng.choice((*source.passages, *source.passages, *source.answers)), facts)
        return text, tuple(value for slot, value in facts.items() if slot != kind)

    def _clarify(self, intent: Intent, wording: Wording) -> Turn:
        reply = self._frame(self._phrase(intent.clarify, wording.tone), wording)
        return Turn(kind=TurnKind.CLARIFY, topic=intent.id, user=wording.text, reply=reply)

    def _add_answer(self, intent: Intent, wording: Wording, *, entity: str | None, follow_up: str | None = None) -> Turn:
        known = {} if entity is None or intent.entity is None else {intent.entity: entity}
        user = fill_slots(wording.text, known)
        core = self._fill(self._phrase(intent.answers, wording.tone), known)
        return self._add(
            Turn(kind=TurnKind.ANSWER, topic=intent.id, user=user, reply=self._frame(core, wording), entity=entity, follow_up=follow_up)
        )

    def _add(self, turn: Turn) -> Turn:
        self.turns.append(turn)
        return turn

    def _type(self, template: str) -> Wording:
        return surface.type_question(template, self._corpus.common["user"], self._rng)

    def _type_follow_up(self, kind: str, entity: str | None) -> str:
        lists = self._corpus.follow_ups[kind]
        template = self._rng.choice(lists.held_out if self._held_out else lists.questions)
        said = "" if entity is None else pick_alternatives(_SAID_AS.get(entity, f"{{{entity}}}"), self._rng)
        return surface.type_short(template.replace("{entity}", said), self._rng)

    def _phrase(self, options: Sequence[str], tone: Tone) -> str:
        """Choose a phrasing: each tone has its favourite, so a reply's wording follows from the message and is no coin toss."""
        first = list(Tone).index(tone) % len(options)
        return self._rng.choices((*options[first:], *options[:first]), (0.7, 0.14, 0.09, 0.07, 0.05, 0.05)[: len(options)])[0]

    def _frame(self, core: str, wording: Wording) -> str:
        """Put the opening in front that the message's sound asks for, now and then a closing behind."""
        rng, lists = self._rng, self._corpus.common["reply"]
        opening = ""
        if wording.tone is Tone.UPSET and rng.random() < 0.94:
            opening = rng.choices(lists["apologise"], (8, 1, 1))[0]
        elif wording.has_greeting and rng.random() < 0.94:
            opening = rng.choices(lists["greet_back"], (8, 1, 1))[0]
        elif wording.tone is Tone.POLITE and rng.random() < 0.9:
            opening = rng.choices(lists["willing"], (8, 1, 1))[0]
        closing = rng.choice(lists["closings"]) if rng.random() < 0.06 else ""
        return " ".join(part for part in (opening, core, closing) if part)

    def _draw_values(self, template: str, known: Mapping[str, str]) -> dict[str, str]:
        """Draw a value for every slot of a template that has none yet; two of a kind never agree."""
        drawn = dict(known)
        for slot in slots_of(template):
            while slot not in drawn:
                kind = values.kind_of(slot)
                value = self.draw_entity(kind) if kind in values.ENTITY_KINDS else values.draw_fact(slot, self._rng)
                if value not in drawn.values():
                    drawn[slot] = value
        return drawn

    def _fill(self, template: str, known: Mapping[str, str]) -> str:
        return fill_slots(template, self._draw_values(template, known))


def draw_persona(corpus: Corpus, rng: Random) -> Persona:
    """Draw a system message: mostly with a name and a company, sometimes with less, sometimes none at all."""
    roll, lists = rng.random(), corpus.common["system"]
    company, name = names.invent_company(rng), rng.choice(names.PERSONAS)
    if roll < 0.62:
        return Persona(system=fill_slots(rng.choice(lists["full"]), {"persona": name, "company": company}), name=name, company=company)
    if roll < 0.82:
        return Persona(system=fill_slots(rng.choice(lists["company_only"]), {"company": company}), name=None, company=company)
    return Persona(system=rng.choice(lists["plain"]) if roll < 0.9 else None, name=None, company=None)


def _plain(text: str) -> Wording:
    return Wording(text=text, tone=Tone.NEUTRAL, has_greeting=False)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}?"
