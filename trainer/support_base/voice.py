"""How the two sides of a dialogue word what they say: people's typing, the assistant's phrasings and openings, the values in both."""

from collections.abc import Mapping, Sequence
from random import Random

from trainer.support_base import surface, values
from trainer.support_base.corpus import Corpus
from trainer.support_base.grammar import fill_slots, pick_alternatives, slots_of
from trainer.support_base.surface import Tone, Wording

# The first phrasing is taken mostly: a greedy reply is no coin toss, and what a question is about is learned from fewer of them.
_PHRASING_WEIGHTS = (0.76, 0.1, 0.06, 0.04, 0.02, 0.02)
_LOWER_NAME_SHARE = 0.3
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


class Voice:
    """Words one dialogue. With `held_out` the wordings and names are those that never occur in pretraining."""

    def __init__(self, corpus: Corpus, rng: Random, *, held_out: bool) -> None:
        self.corpus = corpus
        self.rng = rng
        self.held_out = held_out

    def type_question(self, template: str) -> Wording:
        """Type a question as somebody would; its slots stay open."""
        return surface.type_question(template, self.corpus.common["user"], self.rng)

    def type_follow_up(self, kind: str, entity: str | None) -> Wording:
        """Type a follow-up of a kind; the slot of an entity of this kind stays open in it."""
        lists = self.corpus.follow_ups[kind]
        template = self.rng.choice(lists.held_out if self.held_out else lists.questions)
        said = "" if entity is None else pick_alternatives(_SAID_AS.get(entity, f"{{{entity}}}"), self.rng)
        text = surface.type_short(template.replace("{entity}", said), self.rng)
        return Wording(text=text, tone=Tone.NEUTRAL, has_greeting=False)

    def phrase(self, options: Sequence[str]) -> str:
        """Choose a phrasing, mostly the first."""
        return self.rng.choices(options, _PHRASING_WEIGHTS[: len(options)])[0]

    def frame(self, core: str, wording: Wording) -> str:
        """Put the opening in front that the message's sound asks for, now and then a closing behind."""
        rng, lists = self.rng, self.corpus.common["reply"]
        opening = ""
        if wording.tone is Tone.UPSET and rng.random() < 0.94:
            opening = rng.choices(lists["apologise"], (8, 1, 1))[0]
        elif wording.has_greeting and rng.random() < 0.94:
            opening = rng.choices(lists["greet_back"], (8, 1, 1))[0]
        elif wording.tone is Tone.POLITE and rng.random() < 0.9:
            opening = rng.choices(lists["willing"], (8, 1, 1))[0]
        closing = rng.choice(lists["closings"]) if rng.random() < 0.06 else ""
        return " ".join(part for part in (opening, core, closing) if part)

    def draw_entity(self, kind: str) -> str:
        """Draw a name of the kind from the part of the names that this dialogue may use."""
        return values.draw_entity(kind, self.rng, held_out=self.held_out)

    def draw_values(self, template: str, known: Mapping[str, str]) -> dict[str, str]:
        """Draw a value for every slot of a template that has none yet; two of a kind never agree."""
        drawn = dict(known)
        for slot in slots_of(template):
            while slot not in drawn:
                kind = values.kind_of(slot)
                value = self.draw_entity(kind) if kind in values.ENTITY_KINDS else values.draw_fact(slot, self.rng)
                if value not in drawn.values():
                    drawn[slot] = value
        return drawn

    def fill(self, template: str, known: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        """Fill a template, drawing what is not known; return the text and what was drawn."""
        found = self.draw_values(template, known)
        return fill_slots(template, found), tuple(value for slot, value in found.items() if slot not in known)

    def type_name(self, name: str, wording: Wording) -> str:
        """Type a name as this person would: in a message all in lower case it often is, too."""
        is_lower = wording.text == wording.text.lower() and self.rng.random() < _LOWER_NAME_SHARE
        return name.lower() if is_lower else name
