"""The records of a drawn dialogue. A `Turn` says what kind of reply it wants, so that a model's own reply can be checked against it."""

from dataclasses import dataclass
from enum import StrEnum

from assistant.prompt import Message, build_messages


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
    block and `distractors` the values in the block that it must not; `invented` are the values in the reply that nothing told;
    `core_at` is where in the reply, in characters, the answer begins behind an opening.
    """

    kind: TurnKind
    topic: str
    user: str
    reply: str
    entity: str | None = None
    follow_up: str | None = None
    facts: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()
    invented: tuple[str, ...] = ()
    core_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A system message (or None) and the turns under it."""

    system: str | None
    turns: tuple[Turn, ...]

    def messages(self) -> list[Message]:
        """Return the whole dialogue as chat messages, the last reply included."""
        *earlier, last = [(turn.user, turn.reply) for turn in self.turns]
        return [*build_messages(self.system, earlier, last[0]), {"role": "assistant", "content": last[1]}]
