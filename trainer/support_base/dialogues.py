"""Dialogues drawn from the corpus: what the base is pretrained on, and, from the held-out wordings and names, what measures it.

Everything is a function of the random generator that is passed in.
"""

from dataclasses import dataclass, replace
from random import Random

from trainer.support_base import names, surface
from trainer.support_base.corpus import Corpus, Intent
from trainer.support_base.grammar import fill_slots
from trainer.support_base.references import ReferenceQuestions
from trainer.support_base.surface import Wording
from trainer.support_base.turns import Dialogue, Turn, TurnKind
from trainer.support_base.voice import Voice

# After these nothing is told yet, or only a reference block told it: a follow-up would have to be invented.
_NOT_FOLLOWED = frozenset({TurnKind.CLARIFY, TurnKind.REFERENCE, TurnKind.REFERENCE_REFUSAL})
_UNNAMED_SHARE = 0.13
_NEEDLESS_BLOCK_SHARE = 0.25
_TURN_COUNTS = (1, 2, 3, 4, 5, 6, 8, 10)
_TURN_COUNT_WEIGHTS = (36, 22, 15, 9, 6, 5, 4, 2)
_LONG_SHARE = 0.06
_NO_SYSTEM_SHARE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Who the system message says that the assistant is; None where it does not say."""

    system: str | None
    name: str | None
    company: str | None


def draw_dialogue(corpus: Corpus, rng: Random) -> Dialogue:
    """Draw a pretraining dialogue: one to ten turns, some of over twenty, so that long contexts are trained, too."""
    composer = Composer(corpus, rng, held_out=False)
    is_long = rng.random() < _LONG_SHARE
    count = rng.randint(14, 26) if is_long else rng.choices(_TURN_COUNTS, _TURN_COUNT_WEIGHTS)[0]
    return composer.compose(count, reference_share=rng.choices((0.0, 0.4, 1.0), (46, 22, 32))[0])


def draw_single_turn(corpus: Corpus, rng: Random, *, has_reference: bool) -> Dialogue:
    """Draw a dialogue of one turn, mostly without a system message: many questions for their tokens."""
    composer = Composer(corpus, rng, held_out=False)
    if rng.random() < _NO_SYSTEM_SHARE:
        composer.persona = Persona(system=None, name=None, company=None)
    return composer.compose(1, reference_share=float(has_reference))


class Composer:
    """Composes one dialogue turn by turn; remembers what the last turns were about.

    With `held_out` the wordings, the names and the out-of-scope topics are those that never occur in pretraining.
    """

    def __init__(self, corpus: Corpus, rng: Random, *, held_out: bool) -> None:
        self._corpus = corpus
        self._rng = rng
        self._held_out = held_out
        self._voice = Voice(corpus, rng, held_out=held_out)
        self._references = ReferenceQuestions(self._voice)
        self._intents = tuple(corpus.intents.values())
        self.persona = draw_persona(corpus, rng)
        self.turns: list[Turn] = []

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
        elif last is not None and last.topic in self._corpus.intents and last.kind not in _NOT_FOLLOWED and rng.random() < 0.42:
            self.add_follow_up(self._corpus.intents[last.topic])
        elif rng.random() < reference_share:
            self.add_reference_question(answerable=rng.random() < 0.78)
        else:
            self._add_plain(has_block=reference_share > 0 and rng.random() < _NEEDLESS_BLOCK_SHARE)

    def _add_plain(self, *, has_block: bool) -> None:
        """Add what needs no reference block; small talk and what is out of scope may have one all the same."""
        rng, roll = self._rng, self._rng.random()
        if roll < 0.72 and not has_block:
            self.add_question(rng.choice(self._intents))
        elif roll < 0.86:
            self.add_small_talk(rng.choice(tuple(self._corpus.small_talk)), has_block=has_block)
        elif roll < 0.95 or has_block:
            self.add_out_of_scope(has_block=has_block)
        else:
            self.add_unknown()

    def add_question(self, intent: Intent) -> Turn:
        """Add a question about an intent; where it leaves out the entity, the reply asks for it."""
        if intent.entity is not None and self._rng.random() < _UNNAMED_SHARE:
            return self.add_clarification(intent)
        return self.add_named_question(intent)

    def add_named_question(self, intent: Intent) -> Turn:
        """Add a question about an intent that names the entity, if the intent has one."""
        return self._add_answer(
            intent, self._voice.type_question(self._rng.choice(intent.held_out if self._held_out else intent.questions))
        )

    def add_clarification(self, intent: Intent) -> Turn:
        """Add a question about an intent that leaves out the entity, and the question back."""
        templates = intent.held_out_unnamed if self._held_out else intent.unnamed
        wording = self._voice.type_question(self._rng.choice(templates))
        core = self._voice.phrase(intent.clarify)
        reply = self._voice.frame(core, wording)
        return self._add(Turn(kind=TurnKind.CLARIFY, topic=intent.id, user=wording.text, reply=reply, core_at=reply.index(core)))

    def add_supply(self, intent: Intent) -> Turn:
        """Add the name that a clarifying reply asked for, and the answer."""
        return self._add_answer(intent, self._voice.type_follow_up("supply", intent.entity), follow_up="supply")

    def add_follow_up(self, intent: Intent, kind: str | None = None) -> Turn:
        """Add a question that only the turn before explains; a random kind where none is given."""
        kinds = [*intent.follow_ups] + ([] if intent.entity is None else ["other_entity", "other_entity"])
        kind = kind or self._rng.choice(kinds)
        wording = self._voice.type_follow_up(kind, intent.entity)
        if kind == "other_entity":
            return self._add_answer(intent, wording, follow_up=kind)
        reply, invented = self._voice.fill(self._voice.phrase(intent.follow_ups[kind]), {})
        return self._add(Turn(kind=TurnKind.FOLLOW_UP, topic=intent.id, user=wording.text, reply=reply, follow_up=kind, invented=invented))

    def add_small_talk(self, kind: str, *, has_block: bool = False) -> Turn:
        """Add small talk; who answers is said as far as the system message tells it."""
        talk = self._corpus.small_talk[kind]
        text = surface.type_short(self._rng.choice(talk.held_out if self._held_out else talk.questions), self._rng)
        nameless = talk.anonymous if self.persona.company is None else talk.company_only
        options = nameless if self.persona.name is None else talk.answers
        told = {"persona": self.persona.name or "", "company": self.persona.company or ""}
        reply = fill_slots(self._voice.phrase(options), told)
        return self._add(self._block_before(Turn(kind=TurnKind.SMALL_TALK, topic=kind, user=text, reply=reply), has_block=has_block))

    def add_out_of_scope(self, *, has_block: bool = False) -> Turn:
        """Add a question that no support desk can know."""
        topics = self._corpus.held_out_topics if self._held_out else self._corpus.topics
        topic = self._rng.choice(tuple(topics))
        wording = self._voice.type_question(self._rng.choice(topics[topic]))
        text, _ = self._voice.fill(wording.text, {})
        reply = self._voice.phrase(self._corpus.reference_refusals if has_block else self._corpus.refusals)
        kind = TurnKind.REFERENCE_REFUSAL if has_block else TurnKind.REFUSAL
        return self._add(self._block_before(Turn(kind=kind, topic=topic, user=text, reply=reply), has_block=has_block))

    def add_unknown(self) -> Turn:
        """Add a question that a support desk could know, but only a reference block could tell, and there is none."""
        topic = self._rng.choice(self._corpus.knowledge_of(held_out=self._held_out))
        wording = self._voice.type_question(self._rng.choice(topic.questions))
        text, _ = self._voice.fill(wording.text, {})
        reply = self._voice.phrase(self._corpus.refusals)
        return self._add(Turn(kind=TurnKind.REFUSAL, topic=topic.id, user=text, reply=reply))

    def add_reference_question(self, *, answerable: bool) -> Turn:
        """Add a question with one to four passages before it, the right one among them or not."""
        if self._rng.random() < 0.36:
            topic = self._rng.choice(self._corpus.knowledge_of(held_out=self._held_out))
            return self._add(self._references.about_knowledge(topic, answerable=answerable))
        return self._add(self._references.about_intent(self._rng.choice(self._intents), answerable=answerable))

    def _block_before(self, turn: Turn, *, has_block: bool) -> Turn:
        if not has_block:
            return turn
        user, distractors = self._references.before(turn.user, topic=turn.topic)
        return replace(turn, user=user, distractors=distractors)

    def _add_answer(self, intent: Intent, wording: Wording, *, follow_up: str | None = None) -> Turn:
        """Answer for a name drawn here, where the intent asks about one."""
        known = {} if intent.entity is None else {intent.entity: self._voice.type_name(self._voice.draw_entity(intent.entity), wording)}
        user = fill_slots(wording.text, known)
        core, invented = self._voice.fill(self._voice.phrase(intent.answers), known)
        reply = self._voice.frame(core, wording)
        return self._add(
            Turn(
                kind=TurnKind.ANSWER,
                topic=intent.id,
                user=user,
                reply=reply,
                core_at=reply.index(core),
                entity=next(iter(known.values()), None),
                follow_up=follow_up,
                invented=invented,
            )
        )

    def _add(self, turn: Turn) -> Turn:
        self.turns.append(turn)
        return turn


def draw_persona(corpus: Corpus, rng: Random) -> Persona:
    """Draw a system message: mostly with a name and a company, sometimes with less, sometimes none at all."""
    roll, lists = rng.random(), corpus.common["system"]
    company, name = names.invent_company(rng), rng.choice(names.PERSONAS)
    if roll < 0.62:
        return Persona(system=fill_slots(rng.choice(lists["full"]), {"persona": name, "company": company}), name=name, company=company)
    if roll < 0.82:
        return Persona(system=fill_slots(rng.choice(lists["company_only"]), {"company": company}), name=None, company=company)
    return Persona(system=rng.choice(lists["plain"]) if roll < 0.9 else None, name=None, company=None)
