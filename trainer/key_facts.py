"""What a reply states that can be right or wrong: numbers, names, codes, addresses, menu paths, denials. Pure.

One rule judges replies everywhere: a reply is right when it states every key fact of the reply that was wanted, and no other of a kind
that the wanted reply states. How it is worded does not matter.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class FactKind(StrEnum):
    """Kinds of key facts; a fact is compared with facts of its own kind only."""

    EMAIL = "e-mail address"
    LINK = "link"
    PATH = "menu path"
    MONEY = "amount"
    PERCENT = "percentage"
    TIME = "time of day"
    DATE = "date"
    PHONE = "phone number"
    CODE = "code"
    QUANTITY = "quantity"
    QUOTE = "quoted words"
    NAME = "name"
    DENIAL = "denial"


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """A fact in a form in which equal facts are equal: "14 Days" and "fourteen days" are both a quantity "14 day"."""

    kind: FactKind
    value: str


_WORD_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero _ two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
        "nineteen twenty".split()
    )
    if word != "_"  # "one" is a pronoun more often than a number
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100"}
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_MONTH = rf"(?:{_MONTHS}|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_CURRENCY = r"(?:[$€£¥]|USD|EUR|GBP|CHF)"
_AMOUNT = r"\d+(?:[,. ]\d{3})*(?:[.,]\d{1,2})?"
_AFTER_PATH = "and|or|to|then|within|until|for|with|from|by|up|before|after|as|if|when|where|which|that|you|your|we|it|is|are|there|here"
_CAPITAL = r"[A-Z][\w'’&-]*"

# In the order in which they are looked for; what one has found, the later ones do not see.
_PATTERNS: tuple[tuple[FactKind, re.Pattern[str]], ...] = (
    (FactKind.EMAIL, re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    (FactKind.LINK, re.compile(r"(?:https?://|www\.)[^\s,;)]*[^\s,;).!?]|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|app|dev|help|co\.uk|example)(?:/[\w./-]*\w)?")),
    (FactKind.PATH, re.compile(rf"[A-Z]\w*(?: (?!(?:>|→|›))[\w&]+){{0,3}}(?: ?(?:>|→|›|/(?= )) ?[A-Z]\w*(?: (?!(?:{_AFTER_PATH})\b|\d)[\w&]+){{0,2}})+")),
    (FactKind.MONEY, re.compile(rf"{_CURRENCY} ?{_AMOUNT}|\b{_AMOUNT} ?(?:€|£|USD|EUR|GBP|CHF|dollars?|euros?|pounds?)(?!\w)")),
    (FactKind.PERCENT, re.compile(r"\b\d+(?:[.,]\d+)? ?(?:%|percent\b|per cent\b)")),
    (FactKind.TIME, re.compile(r"\b\d{1,2}:\d{2}(?: ?[ap]\.?m\b\.?)?|\b\d{1,2} ?[ap]\.?m\b\.?|\b(?:noon|midnight)\b", re.IGNORECASE)),
    (FactKind.DATE, re.compile(rf"\b(?:{_DAY} (?:of )?{_MONTH}|{_MONTH} {_DAY})\b(?:,? \d{{4}})?|\b\d{{4}}-\d{{2}}-\d{{2}}\b|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b")),
    (FactKind.PHONE, re.compile(r"(?<![\w#-])(?:\+|\(?0)\d?[\d ()/.-]{6,}\d")),
    (FactKind.CODE, re.compile(r"#?\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])(?!\d+(?:st|nd|rd|th)\b)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\b|(?<!\d )\b[A-Z]{2,}(?:-[A-Z]+)*\b|#\d+|\b\d{5,}\b")),
    (FactKind.QUANTITY, re.compile(rf"\b(?:\d+(?:[.,]\d+)*|{'|'.join(_WORD_NUMBERS)})\b(?:[ -](?:(?:business|working|calendar|full|more) )?[a-z]+)?", re.IGNORECASE)),
    (FactKind.QUOTE, re.compile(r"[\"“”]([^\"“”\n]{1,80})[\"“”]|(?<!\w)['‘]([^'‘’\n]{1,80})['’](?!\w)")),
    (FactKind.NAME, re.compile(rf"{_CAPITAL}(?: (?:{_CAPITAL}))*")),
)  # fmt: skip
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*[-*•]?\s*|[\"“'‘(])$")
_LEADING_VERB = re.compile(r"^(?:(?:open|go|choose|select|see|visit|click|tap|press|under|in|on|to|the|your|use|find)\b ?)+", re.IGNORECASE)
_NO_NAMES = frozenset("I I'm I'll I've I'd".split())
_NO_UNITS = frozenset(
    "and or to of in on at by for from with is are was the a an per if as so but then that this which after before".split()
)
_DENIED = re.compile(r"\b(?:can ?not|can['’]?t|not (?:possible|allowed|able|available|supported)|no longer|unable|won['’]?t|will not)\b", re.IGNORECASE)  # fmt: skip
_OPENS_WITH_NO = re.compile(r"^\W*no\b(?! problem)", re.IGNORECASE)
_SMALL_WORDS = frozenset("a an the to of in on at by for from with and or is are be it its you your we our i my this that as so".split())


def find_key_facts(text: str) -> frozenset[Fact]:
    """Return what a reply states that can be right or wrong."""
    return frozenset({*(fact for fact, _ in locate_key_facts(text)), *_find_denial(text)})


def mask_key_facts(text: str) -> str:
    """Return a text with blanks in the place of its key facts: how it is worded, and not what it states."""
    masked = list(text)
    for _, (start, end) in locate_key_facts(text):
        masked[start:end] = " " * (end - start)
    return "".join(masked)


def is_right(reply: str, wanted: str) -> bool:
    """Say whether a reply states every key fact of the wanted one and no other of its kinds.

    Where the wanted reply states none, nine of ten of its words must be there, and hardly any other.
    """
    facts = find_key_facts(wanted)
    if not {fact for fact in facts if fact.kind is not FactKind.DENIAL}:
        return _are_alike(_list_words(reply), _list_words(wanted))
    kinds = {fact.kind for fact in facts} | {FactKind.DENIAL}
    said = {fact for fact in find_key_facts(reply) if fact.kind in kinds}
    return all(_is_stated(fact, reply) for fact in facts - said) and all(_is_stated(fact, wanted) for fact in said - facts)


def share_wording(reply: str, other: str) -> float:
    """Return the share of words that two replies have in common, their key facts and the smallest words aside, between 0 and 1."""
    said, told = _list_wording(reply), _list_wording(other)
    return len(said & told) / len(said | told) if said or told else 1.0


def repeats_fact(reply: str, question: str) -> bool:
    """Say whether a reply states a key fact that the question told, in whatever case: a name that was asked about, mostly."""
    told = " ".join(question.lower().split())
    spans = [reply[start:end].lower() for _, (start, end) in locate_key_facts(reply)]
    return any(re.search(rf"(?<!\w){re.escape(span)}(?!\w)", told) for span in spans)


def is_untouched(reply: str, earlier: str, guessed: Set[Fact]) -> bool:
    """Say whether a reply says what an earlier one did: the same facts in any words, or the same words with the same facts.

    What the earlier one only guessed may differ then: a model that holds a fact by a hair says another one after any change at all.
    """
    if is_right(reply, earlier):
        return True
    held = find_key_facts(earlier) - guessed
    return _are_alike(_list_wording(reply), _list_wording(earlier)) and all(
        _is_stated(fact, reply) for fact in held - find_key_facts(reply)
    )


def locate_key_facts(text: str) -> list[tuple[Fact, tuple[int, int]]]:
    """Find the facts and where they stand, (first character, behind the last); no two overlap."""
    found: list[tuple[Fact, tuple[int, int]]] = []
    taken = [False] * len(text)
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(taken[start:end]):
                continue
            value = _normalise(kind, match, text)
            if value is not None:
                found.append((Fact(kind, value), (start, end)))
                taken[start:end] = [True] * (end - start)
    return found


def _is_stated(fact: Fact, text: str) -> bool:
    """Look for a name or quoted words whatever their case: capitals and quotation marks come and go with the wording."""
    if fact.kind not in {FactKind.NAME, FactKind.QUOTE}:
        return False
    return re.search(rf"(?<!\w){re.escape(fact.value)}(?!\w)", " ".join(text.lower().split())) is not None


def _normalise(kind: FactKind, match: re.Match[str], text: str) -> str | None:
    """Return a fact in its one form, None where the match is no fact after all."""
    if kind is FactKind.NAME:
        return _normalise_name(match, text)
    if kind is FactKind.QUOTE:
        return " ".join((match[1] or match[2]).lower().split()).rstrip(".,")
    return _FORMS.get(kind, _lower)(match[0])


def _lower(found: str) -> str:
    return found.lower().rstrip(".")


def _normalise_path(found: str) -> str:
    return " > ".join(part.strip().lower() for part in re.split(r">|→|›|/", _LEADING_VERB.sub("", found)))


def _normalise_percent(found: str) -> str:
    return f"{re.sub(r'[^0-9.,]', '', found).replace(',', '.')}%"


def _normalise_phone(found: str) -> str:
    return re.sub(r"[^\d+]", "", found)


def _normalise_name(match: re.Match[str], text: str) -> str | None:
    """Take capitalised words for a name, but not one that only begins a sentence."""
    words = [re.sub(r"['’]s$", "", word) for word in match[0].split()]
    if _SENTENCE_START.search(text[: match.start()]) is not None:
        words = words[1:]
    words = [word for word in words if word not in _NO_NAMES]
    return " ".join(words).lower() or None


def _normalise_quantity(found: str) -> str:
    """Write number words as digits, units in the singular; words that are no unit are left out."""
    number, *rest = re.split(r"[ -]", found.lower())
    number = _WORD_NUMBERS.get(number, number).replace(",", ".") if not re.fullmatch(r"\d+(,\d{3})+", number) else number.replace(",", "")
    return number if not rest or rest[-1] in _NO_UNITS else " ".join([number, *rest]).rstrip("s")


def _normalise_money(found: str) -> str:
    names = {"$": "usd", "€": "eur", "£": "gbp", "¥": "jpy", "dollar": "usd", "euro": "eur", "pound": "gbp"}
    unit = re.sub(r"[\d.,\s]", "", found).lower().rstrip("s")
    amount = re.sub(r"[^\d.,]", "", found).replace(",", "")
    amount = amount[:-3] if amount.endswith(".00") else amount
    return f"{amount} {names.get(unit, unit)}"


def _normalise_time(found: str) -> str:
    compact = re.sub(r"[\s.]", "", found.lower())
    return {"noon": "12pm", "midnight": "12am"}.get(compact, compact.replace(":00", "") if compact.endswith("m") else compact)


_FORMS: Mapping[FactKind, Callable[[str], str]] = {
    FactKind.PATH: _normalise_path,
    FactKind.MONEY: _normalise_money,
    FactKind.PERCENT: _normalise_percent,
    FactKind.TIME: _normalise_time,
    FactKind.PHONE: _normalise_phone,
    FactKind.QUANTITY: _normalise_quantity,
}


def _find_denial(text: str) -> Iterator[Fact]:
    """Tell a denial: that something is not possible is a fact as well."""
    if _DENIED.search(text) is not None or _OPENS_WITH_NO.search(text) is not None:
        yield Fact(FactKind.DENIAL, "no")


@lru_cache(maxsize=16384)  # a run compares each of its replies with all others
def _list_wording(text: str) -> frozenset[str]:
    return _list_words(mask_key_facts(text))


def _are_alike(said: Set[str], asked: Set[str]) -> bool:
    if not asked:
        return not said
    return len(said & asked) >= 0.9 * len(asked) and len(said - asked) <= 0.25 * len(asked)


def _list_words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"[\w'’]+", text.lower()) if word not in _SMALL_WORDS)
