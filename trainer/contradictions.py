"""Do two replies to one question contradict each other? Pure; knows how support questions and replies are worded, and no model.

To retire an approved reply by mistake loses it in silence, so where it is unclear what is asked about, nothing contradicts anything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from trainer.key_facts import FactKind, find_key_facts, is_right, mask_key_facts
from trainer.variants import is_same_question

_EMPTY_WORDS = frozenset(
    "a an the this that these those some any all one it its i me my we us our you your they them their he she is are am was were be been "
    "do does did have has had having can could may might must shall should will would get got gets let lets of in on at by to for from "
    "with within up into out about as after before until till than so if or and but not no yes there here then also just only still "
    "already again how what when where which who whom whose why long much many far soon often time times want need like know tell "
    "wonder please hi hello hey thanks thank sorry sure good morning team help ask question possible able don't doesn't isn't i'm it's "
    "what's i've per each every usually normally currently too late last take takes took bring give send write two three four five ten "
    "minute minutes hour hours day days week weeks month months year years".split()
)
_SYNONYMS = (
    "delivery deliver shipping shipment dispatch",
    "return returns back",
    "refund reimburse repay money",
    "cost price charge fee pay expensive",
    "cancel end stop terminate quit close",
    "buy purchase bought",
    "item thing product article order good stuff something anything",
    "parcel package",
    "guarantee warranty",
    "phone mobile telephone",
    "email mail",
    "change switch modify edit update",
    "delete remove erase",
    "find see locate",
)
_SUFFIX = re.compile(r"(?<=\w{3})(?:ations?|ings?|ments?|ies|ied|able|ed|es|s|y|e)$")
_HOURS = {"minute": 1 / 60, "hour": 1.0, "day": 24.0, "week": 168.0, "month": 720.0, "year": 8760.0}
_NEGATED = re.compile(r"(?<!if you )(?<!in case you )\b(?:do|does|is|are|did)(?: not|n['’]?t)\b", re.IGNORECASE)
_NAMING = frozenset({FactKind.NAME, FactKind.CODE, FactKind.DATE})
_UNITS = frozenset({"gb", "mb", "kb", "tb"})
_COUNTING = frozenset({FactKind.QUANTITY, FactKind.MONEY, FactKind.PERCENT, FactKind.TIME, FactKind.DATE})
_LABEL = re.compile(r"\b(?:[Cc]hoose|[Ss]elect|[Cc]lick|[Pp]ress|[Tt]ap|[Oo]pen|[Uu]nder|[Vv]isit)(?: on| the)? (?=[A-Z])[\w >→›]*")
_NUMBERED = re.compile(r"\b(?:error|order|code|number|invoice|ticket|form) #?(\d+)\b")
_NAMED_KIND = re.compile(r"\b([\w-]+) (?:plan|tier|package)s?\b")

# Shares of words in common in the questions and, with the facts masked, in the replies, from which on both are about one thing.
_ENOUGH = ((0.5, 0.2), (0.3, 0.25), (0.1, 0.75))
_LEAST_SHARED = 2  # words that they must have in common for a share to mean anything
_SAME_WORDING, _LEAST_WORDED = 0.8, 5  # share and number of words from which on two replies are one sentence, whatever was asked
_WORTH_A_LOOK = 0.5  # below, two questions are never near-identical
_ALONE = 0.75  # share in common of questions whose replies say nothing but a fact


@dataclass(frozen=True, slots=True)
class Statement:
    """A question and the reply to it; `before` are the user's earlier messages in the conversation, `told` the system message."""

    question: str
    reply: str
    before: tuple[str, ...] = ()
    told: str = ""


def contradicts(newer: Statement, older: Statement) -> bool:
    """Say whether both answer one question, however it is worded, and not both can be right."""
    return (
        _states_otherwise(newer.reply, older.reply)
        and _asks_the_same(newer, older)
        and _asks_about_the_same(newer, older)
        and not (is_right(newer.reply, older.reply) and _is_denial(newer.reply) == _is_denial(older.reply))
    )


def _states_otherwise(newer: str, older: str) -> bool:
    """Say whether both state something of one kind that the other does not, or one denies what the other affirms."""
    if _states_other_values(newer, older):
        return True
    said, stood = _group_facts(newer), _group_facts(older)
    is_bound = any(kind.partition(":")[0] in _COUNTING and said[kind] == stood[kind] for kind in said.keys() & stood.keys())
    return _is_denial(newer) != _is_denial(older) and not is_bound  # "within 14 days" agrees with "not after 14 days"


def _states_other_values(newer: str, older: str) -> bool:
    said, stood = _group_facts(newer), _group_facts(older)
    return any(said[kind] - stood[kind] and stood[kind] - said[kind] for kind in said.keys() & stood.keys())


@lru_cache(maxsize=4096)
def _group_facts(reply: str) -> Mapping[str, frozenset[str]]:
    """Return what a reply states by kind; quantities of time are one kind in one unit, others a kind for each unit."""
    groups: dict[str, set[str]] = {}
    for fact in find_key_facts(reply):
        if fact.kind is FactKind.QUANTITY:
            number, _, unit = fact.value.partition(" ")
            is_time = unit in _HOURS and number.replace(".", "", 1).isdigit()
            kind, value = ("time", f"{float(number) * _HOURS[unit]:g}") if is_time else (_stem(unit), number)
            groups.setdefault(f"{fact.kind}:{kind}", set()).add(value)
        elif fact.kind is not FactKind.DENIAL:
            groups.setdefault(fact.kind, set()).add(fact.value)
    return {kind: frozenset(values) for kind, values in groups.items()}


@lru_cache(maxsize=4096)
def _is_denial(reply: str) -> bool:
    return _NEGATED.search(reply) is not None or any(fact.kind is FactKind.DENIAL for fact in find_key_facts(reply))


def _asks_about_the_same(newer: Statement, older: Statement) -> bool:
    """Say whether the questions name the same; names are known by the capitals that either side gives them anywhere."""
    pool = {name for one in (newer, older) for text in (one.question, one.reply, *one.before) for name in _find_names(text)}
    pool -= {name for one in (newer, older) for name in _find_names(one.told)}
    return _list_named(newer, pool) == _list_named(older, pool)


@lru_cache(maxsize=8192)
def _find_names(text: str) -> frozenset[str]:
    """Return the names and codes in a text, in lower case, a code without its hyphens."""
    facts = find_key_facts(text.lower() if text.isupper() else _LABEL.sub(" ", text))
    found = {fact.value.replace("-", "") if fact.kind is FactKind.CODE else fact.value for fact in facts if fact.kind in _NAMING}
    return frozenset(
        found - _UNITS
        | {*_NUMBERED.findall(text.lower())}
        | {word for word in _NAMED_KIND.findall(text.lower()) if word not in _EMPTY_WORDS}
    )


def _list_named(one: Statement, pool: set[str]) -> frozenset[str]:
    """Return which of the names a question says; where it says none, those of the nearest message before it that says any."""
    for text in (one.question, *reversed(one.before)):
        plain = " ".join(text.lower().split())
        named = {name for name in pool if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", plain) or name in _find_names(text)}
        if named:
            return frozenset(named)
    return frozenset()


def _asks_the_same(newer: Statement, older: Statement) -> bool:
    """Compare the questions and how the replies are worded: the more the one says, the less the other has to."""
    stood = _list_asked(older)
    asked, in_questions = _measure(_mend(_list_asked(newer), stood), stood)
    replied, in_replies = _measure(_list_wording(newer.reply), _list_wording(older.reply))
    if not _states_other_values(newer.reply, older.reply) and asked < _ALONE:
        return False  # what is denied of one thing is mostly affirmed of another
    is_worded_alike = replied >= _SAME_WORDING and in_replies >= _LEAST_WORDED
    is_enough = in_questions + in_replies >= _LEAST_SHARED and any(asked >= one and replied >= other for one, other in _ENOUGH)
    if not is_worded_alike and not is_enough and not _is_asked_alike(newer, older, asked):
        return False
    return not _fills_one_slot(newer.question, older.question) and not (_has_own_topic(newer, older) and _has_own_topic(older, newer))


def _is_asked_alike(newer: Statement, older: Statement, asked: float) -> bool:
    """Say whether the questions alone are enough; in a conversation they lean on what was said before, and never are."""
    if newer.before or older.before or asked < _WORTH_A_LOOK:
        return False
    return asked >= _ALONE or is_same_question(newer.question, older.question)


def _list_asked(one: Statement) -> frozenset[str]:
    """Return what a question is about; one that says nothing by itself goes on with the message before it."""
    return next((words for text in (one.question, *reversed(one.before)) if (words := _list_words(text))), frozenset())


def _has_own_topic(one: Statement, other: Statement) -> bool:
    """Say whether question and reply share a word of which neither the other question nor its reply knows."""
    topics = _list_words(one.question) & _list_words(one.reply)
    known = _list_words(other.question) | _list_words(other.reply)
    return any(not any(_is_misspelling(word, other_word) for other_word in known) for word in topics - known)


def _measure(one: frozenset[str], other: frozenset[str]) -> tuple[float, int]:
    """Return the share of the words that two texts have in common, and their number."""
    shared = len(one & other)
    return shared / max(1, len(one | other)), shared


def _mend(question: frozenset[str], known: frozenset[str]) -> frozenset[str]:
    """Return a question's words, each that misspells one of the known ones, or that one of these misspells, as that one."""
    right = known - question
    return frozenset(next((one for one in right if word not in known and _is_misspelling(word, one)), word) for word in question)


def _fills_one_slot(newer: str, older: str) -> bool:
    """Say whether two questions are alike but for one word, which is no other word for the same: "to leeds", "to york"."""
    one, other = (re.findall(r"[\w'’-]+", text.lower().replace(" an ", " a ")) for text in (newer, older))
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    ahead = next((place for place, word in enumerate(one) if word != other[place]), len(one))
    behind = one[ahead + (len(one) == len(other)) :]
    is_only_one = behind == other[ahead + 1 :]
    changed = {*one[ahead : len(one) - len(behind)], *other[ahead : ahead + 1]}
    return is_only_one and not changed <= _EMPTY_WORDS and not _is_one_word(*changed)


def _is_one_word(*words: str) -> bool:
    if len(words) != 2:
        return False
    one, other = map(_unify, words)
    return one == other or _is_misspelling(one, other)


def _is_misspelling(one: str, other: str) -> bool:
    """Tell two letters swapped, or one left out or doubled, in a word of some length."""
    if one[:1] != other[:1] or abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < 4 or re.search(r"\d", one + other):
        return False
    if len(one) == len(other):
        return sorted(one) == sorted(other)
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return any(longer[:place] + longer[place + 1 :] == shorter for place in range(1, len(longer)))


@lru_cache(maxsize=8192)
def _list_words(text: str) -> frozenset[str]:
    """Return what a text is about: no empty words, no numbers, endings off, one word for each thing."""
    words = re.findall(r"[\w'’-]+", text.lower())
    return frozenset(_unify(word) for word in words if word not in _EMPTY_WORDS and not re.search(r"\d", word))


@lru_cache(maxsize=8192)
def _list_wording(reply: str) -> frozenset[str]:
    """Return how a reply is worded, without what it states."""
    return _list_words(mask_key_facts(reply))


def _unify(word: str) -> str:
    stem = _stem(word)
    return _SAME.get(stem, stem)


def _stem(word: str) -> str:
    return re.sub(r"(\w)\1$", r"\1", _SUFFIX.sub("", word.replace("’", "'").removesuffix("'s")))


_SAME = {_stem(word): _stem(group.split()[0]) for group in _SYNONYMS for word in group.split()}
