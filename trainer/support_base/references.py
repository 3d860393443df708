"""Questions with a reference block: one to four passages, the right one among distractors or not there at all.

The reply quotes the passage that answers: to find it and to copy it can be learned for every topic, while to put a fact in other words
must be learned for each. A passage that is a question with its answer, as a correction is, is answered by the answer alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.prompt import add_reference
from trainer.support_base.corpus import Intent, Knowledge
from trainer.support_base.grammar import fill_slots, pick_alternatives, slots_of
from trainer.support_base.surface import Wording
from trainer.support_base.turns import Turn, TurnKind
from trainer.support_base.voice import Voice

_PAIR_SHARE = 0.35
PERSON = "talk_to_person"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a question is about.

    `facts` holds all values, those in the question included; `told` the ones that only the right passage tells; `quoted` is what the
    reply quotes of the passage.
    """

    source: Intent | Knowledge
    wording: Wording
    facts: Mapping[str, str]
    told: tuple[str, ...]
    passage: str
    quoted: str


class ReferenceQuestions:
    """Draws turns about anything that the corpus can put into a passage."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._rng = voice.rng
        self._sources: tuple[Intent | Knowledge, ...] = (
            *voice.corpus.intents.values(),
            *voice.corpus.knowledge_of(held_out=voice.held_out),
        )

    def about_intent(self, intent: Intent, *, answerable: bool) -> Turn:
        """Ask about an intent; half of the entities stand beside a passage about the same thing for another name."""
        rng, voice = self._rng, self._voice
        answerable = answerable or intent.id == PERSON  # the wish for a person is never declined
        templates = intent.held_out if voice.held_out else intent.questions
        wording = voice.type_question(rng.choice(templates))
        name = {} if intent.entity is None else {intent.entity: voice.type_name(voice.draw_entity(intent.entity), wording)}
        facts = voice.draw_values(intent.answers[0], name)
        if rng.random() < _PAIR_SHARE:
            quoted = fill_slots(rng.choice(intent.answers), facts)
            passage = _pair(fill_slots(pick_alternatives(rng.choice(templates), rng), facts), quoted)
        else:
            passage = quoted = fill_slots(rng.choice((*intent.passages, *intent.passages, *intent.answers)), facts)
        near = []
        if intent.entity is not None and rng.random() < 0.5:
            near = [self._draw_passage(intent, exclude=facts[intent.entity])]
        told = tuple(value for slot, value in facts.items() if slot != intent.entity)
        asked = _Asked(source=intent, wording=wording, facts=facts, told=told, passage=passage, quoted=quoted)
        return self._ask(asked, near, answerable=answerable)

    def before(self, question: str, *, topic: str) -> tuple[str, tuple[str, ...]]:
        """Put one to three passages about something else before a message that needs none; return it with the passages' values."""
        others = [self._draw_other_passage(topic) for _ in range(self._rng.choice((1, 2, 3)))]
        return add_reference([text for text, _ in others], question), tuple(value for _, found in others for value in found)

    def about_knowledge(self, topic: Knowledge, *, answerable: bool) -> Turn:
        """Ask about what no intent knows."""
        rng, voice = self._rng, self._voice
        facts = voice.draw_values(topic.answers[0], {})
        wording = voice.type_question(rng.choice(topic.questions))
        if rng.random() < _PAIR_SHARE:
            quoted = fill_slots(rng.choice(topic.answers), facts)
            passage = _pair(fill_slots(rng.choice(topic.questions), facts), quoted)
        else:
            passage = quoted = fill_slots(rng.choice(topic.passages), facts)
        in_questions = {slot for question in topic.questions for slot in slots_of(question)}
        told = tuple(value for slot, value in facts.items() if slot not in in_questions)
        asked = _Asked(source=topic, wording=wording, facts=facts, told=told, passage=passage, quoted=quoted)
        return self._ask(asked, [], answerable=answerable)

    def _ask(self, asked: _Asked, near: list[tuple[str, tuple[str, ...]]], *, answerable: bool) -> Turn:
        """Shuffle the right passage among distractors, or leave it out, and quote it."""
        rng, voice = self._rng, self._voice
        count = rng.choice((0, 1, 1, 2, 2, 3)) if answerable else rng.choice((1, 1, 2, 3))
        others = list(near)
        while len(others) < count:
            others.append(self._draw_other_passage(asked.source.id))
        passages = [text for text, _ in others] + ([asked.passage] if answerable else [])
        rng.shuffle(passages)
        user = add_reference(passages, fill_slots(asked.wording.text, asked.facts))
        distractors = tuple(value for _, found in others for value in found if value not in asked.told)
        if not answerable:
            reply = voice.phrase(voice.corpus.reference_refusals)
            return Turn(kind=TurnKind.REFERENCE_REFUSAL, topic=asked.source.id, user=user, reply=reply, distractors=distractors)
        reply = voice.frame(asked.quoted, asked.wording)
        return Turn(kind=TurnKind.REFERENCE, topic=asked.source.id, user=user, reply=reply, facts=asked.told, distractors=distractors)

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
            name = self._voice.draw_entity(kind)
            while exclude is not None and name.lower() == exclude.lower():
                name = self._voice.draw_entity(kind)
            entity = {kind: name}
        facts = self._voice.draw_values(source.passages[0], entity)
        texts: Sequence[str] = (*source.passages, *source.passages, *source.answers)
        text = fill_slots(self._rng.choice(texts), facts)
        return text, tuple(value for slot, value in facts.items() if slot != kind)


def _pair(question: str, answer: str) -> str:
    """Write a passage as an approved correction would be: a question and its answer."""
    return f"Q: {question[:1].upper()}{question[1:]} A: {answer}"
