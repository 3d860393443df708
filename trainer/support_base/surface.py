"""How people type: tone, greetings, back stories, lower case, missing punctuation, typos, phone abbreviations.

Works on templates, so that a `{slot}` (the name somebody asks about) is never misspelt. Pure.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from trainer.support_base.grammar import pick_alternatives

Lists = Mapping[str, tuple[str, ...]]


class Tone(StrEnum):
    """How a message sounds; the reply's opening and phrasing follow it."""

    NEUTRAL = "neutral"
    POLITE = "polite"
    UPSET = "upset"
    RAMBLING = "rambling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A message as typed (its slots still open), and what the reply takes from its sound."""

    text: str
    tone: Tone
    has_greeting: bool


_TONE_WEIGHTS = (62, 14, 12, 12)  # in the order of Tone
_ABBREVIATIONS = {
    "you": "u", "your": "ur", "please": "pls", "thanks": "thx", "because": "cuz", "are": "r", "about": "abt", "with": "w",
    "password": "pw", "account": "acct", "subscription": "sub", "information": "info", "number": "no", "message": "msg",
    "and": "n", "for": "4", "people": "ppl", "appointment": "appt", "address": "addr", "tomorrow": "tmrw",
}  # fmt: skip
_DROPPABLE = frozenset("a an the my is are do does i it to of please".split())
_NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk", "k": "jl",
    "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb",
    "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
_QUESTION_WORDS = (
    "how what where when who whom whose which why can could may do does did is are am was will would should shall have has any".split()
)
_QUESTION_START = re.compile(rf"(?:.*, )?(?:{'|'.join(_QUESTION_WORDS)})\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z']+")


def type_question(template: str, lists: Lists, rng: Random) -> Wording:
    """Turn a question template into a message as somebody types it: dressed in a tone, then roughened."""
    tone = rng.choices(tuple(Tone), _TONE_WEIGHTS)[0]
    has_greeting = rng.random() < (0.5 if tone is Tone.POLITE else 0.16)
    core = pick_alternatives(template, rng)
    if rng.random() < 0.15:
        core = f"{pick_alternatives(rng.choice(lists['lead_ins']), rng)}, {core}"
    parts = [*_parts_before(tone, lists, rng, has_greeting=has_greeting), core, *_parts_after(tone, lists, rng)]
    return Wording(text=roughen(parts, rng), tone=tone, has_greeting=has_greeting)


def type_short(template: str, rng: Random) -> str:
    """Turn a template into a message without anything around it (small talk, follow-ups)."""
    return roughen([pick_alternatives(template, rng)], rng)


def _parts_before(tone: Tone, lists: Lists, rng: Random, *, has_greeting: bool) -> list[str]:
    parts = []
    if has_greeting:
        parts.append(pick_alternatives(rng.choice(lists["greetings"]), rng))
    if tone is Tone.RAMBLING:
        parts += [pick_alternatives(story, rng) for story in rng.sample(lists["back_stories"], rng.choice((1, 1, 2)))]
    if tone is Tone.UPSET and rng.random() < 0.5:
        parts.append(pick_alternatives(rng.choice(lists["anger"]), rng))
    return parts


def _parts_after(tone: Tone, lists: Lists, rng: Random) -> list[str]:
    if tone is Tone.POLITE:
        return [pick_alternatives(rng.choice(lists["politeness"]), rng)]
    if tone is Tone.UPSET:
        return [pick_alternatives(rng.choice(lists["anger"]), rng)]
    if tone is Tone.RAMBLING and rng.random() < 0.4:
        return [pick_alternatives(rng.choice(lists["back_stories"]), rng)]
    return []


def roughen(parts: list[str], rng: Random) -> str:
    """Join sentences in one of the ways in which people punctuate, and put in their slips."""
    style = rng.choices(("proper", "careless", "bare"), (36, 30, 34))[0]
    if style == "proper":
        text = " ".join(_punctuate(part) for part in parts)
    elif style == "careless":
        text = rng.choice((", ", " ", ". ", " ")).join(parts)
        text = text[:1].upper() + text[1:] if rng.random() < 0.4 else text
        text = text.rstrip("?.!") + rng.choice(("", "", "?", "??", "!", "."))
    else:
        text = re.sub(r"[?.!,]", "", " ".join(parts))
    if style != "proper":
        text = _slip(text, rng)
    elif rng.random() < 0.12:
        text = _misspell(text, rng)
    return text


def _punctuate(sentence: str) -> str:
    sentence = re.sub(r"\bi(?=\b|')", "I", sentence)
    if sentence[-1:] not in "?.!":
        sentence += "?" if _QUESTION_START.match(sentence) else "."
    return sentence[:1].upper() + sentence[1:]


def _slip(text: str, rng: Random) -> str:
    """Apply what hurried people do: lower or upper case, dropped apostrophes, short forms, missing words, typos."""
    roll = rng.random()
    if roll < 0.6:
        text = _outside_slots(text, str.lower)
    elif roll < 0.63:
        text = _outside_slots(text, str.upper)
    if rng.random() < 0.4:
        text = text.replace("'", "")
    if rng.random() < 0.15:
        text = _WORD.sub(lambda match: _ABBREVIATIONS.get(match[0], match[0]) if rng.random() < 0.6 else match[0], text)
    if rng.random() < 0.08:
        text = " ".join(word for word in text.split(" ") if word.lower() not in _DROPPABLE or rng.random() < 0.4) or text
    if rng.random() < 0.32:
        text = _misspell(text, rng)
    return text


def _outside_slots(text: str, change: Callable[[str], str]) -> str:
    return "".join(part if part.startswith("{") else change(part) for part in re.split(r"(\{\w+\})", text))


def _misspell(text: str, rng: Random) -> str:
    """Put about one slip into every ten words, at least one, never inside a slot."""
    spots = list(re.finditer(r"(?<![{\w])[A-Za-z]{4,}(?![}\w])", text))
    if not spots:
        return text
    chosen = rng.sample(spots, min(len(spots), 1 + len(spots) // 10))
    for match in sorted(chosen, key=re.Match.start, reverse=True):
        text = text[: match.start()] + _misspell_word(match[0], rng) + text[match.end() :]
    return text


def _misspell_word(word: str, rng: Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    kind = rng.choice(("swap", "swap", "drop", "drop", "double", "neighbour"))
    if kind == "swap":
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "drop":
        return word[:at] + word[at + 1 :]
    if kind == "double":
        return word[:at] + word[at] + word[at:]
    return word[:at] + rng.choice(_NEIGHBOURS.get(word[at].lower(), word[at])) + word[at + 1 :]
