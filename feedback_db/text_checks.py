"""What a stored text may not hold, and what a reviewer should see marked in it. Pure.

Names of persons are not looked for: no method that runs offline finds them reliably, so they are the reviewer's job.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from feedback_db.errors import EmptyTextError, HostileTextError, TextTooLongError

_CHAT_TOKEN = re.compile(r"<\|[^<>|\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>", re.IGNORECASE)
_ALLOWED_CONTROL = frozenset("\n\t")
# They shape or fill the letters of several scripts, and emoji: joiners, fillers of Hangul and Khmer, variation selectors. Beside plain
# letters they only hide something, as a soft hyphen and the rest do anywhere.
_SHAPING = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_SHAPING_RUN = re.compile(f"[{_SHAPING}]+")
_MOST_SHAPING = 2  # a variation selector and a joiner, as between the parts of an emoji
_PLAIN_SCRIPTS = ("LATIN ", "GREEK ", "CYRILLIC ")
_BLANK = re.compile(rf"[\s\u2800{_SHAPING}]")
# England, Scotland and Wales are the only flags spelt in tags, which are hidden anywhere else.
_TAGS_OF_REGIONS = ("".join(chr(0xE0000 + ord(letter)) for letter in region) for region in ("gbeng", "gbsct", "gbwls"))
_TAGGED_FLAG = re.compile(f"\U0001f3f4(?:{'|'.join(_TAGS_OF_REGIONS)})\U000e007f")


_HOST = r"(?:[\w-]+\.)+[a-z]{2,}"
_LINK = re.compile(rf"(?:https?://|\bwww\.)(?P<linked>[^\s/?#<>()\"']+)|(?<![\w@.-])(?P<named>{_HOST})(?![\w@-])")
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget)\b[^.;:!?]{0,30}\b(?:instructions?|rules?|prompt|above|previous|earlier)\b"
    r"|\bsystem (?:prompt|message)\b|\byou are now\b|\bas an ai\b|\bjailbreak\b|\bdeveloper mode\b",
    re.IGNORECASE,
)


class PersonalDataKind(StrEnum):
    """Structured kinds of personal data that can be recognised with some certainty."""

    EMAIL = "e-mail address"
    PHONE = "phone number"
    CARD = "card number"
    IBAN = "bank account"
    IP_ADDRESS = "IP address"
    KEY = "key or token"
    PASSWORD = "password"  # noqa: S105  a kind's name, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A stretch of a text, from `start` up to `end` (characters), that looks like personal data."""

    kind: PersonalDataKind
    start: int
    end: int


def check_text(text: str, *, what: str, max_chars: int) -> str:
    """Return the text without blanks around it, its line ends as newlines, in Unicode's composed form.

    Args:
        text: what somebody wrote.
        what: how the sentence of an error names it, such as "a corrected reply".
        max_chars: the longest text allowed, in characters.

    Raises:
        EmptyTextError: nothing is left that shows.
        TextTooLongError: it is longer than allowed.
        HostileTextError: it holds a chat template's tokens, or invisible, bidirectional or control characters.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if all(_BLANK.match(char) or _is_hidden(char) for char in text):
        raise EmptyTextError(what)
    if len(text) > max_chars:
        raise TextTooLongError(what, max_chars, len(text))
    token = _CHAT_TOKEN.search(text)
    if token is not None:
        raise HostileTextError(what, f"the control token '{token[0]}'")
    hidden = _find_hidden(text)
    if hidden is not None:
        raise HostileTextError(what, f"the invisible character U+{ord(hidden):04X} ({unicodedata.name(hidden, 'a control character')})")
    return text


def is_hostile(text: str) -> bool:
    """Say whether a text holds what `check_text` refuses as hostile: a template's tokens, or characters that hide."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CHAT_TOKEN.search(text) is not None or _find_hidden(text) is not None


def _find_hidden(text: str) -> str | None:
    """Return the first character that hides, be it always or where it stands; None if there is none."""
    text = _TAGGED_FLAG.sub("\U0001f3f4", text)
    for run in _SHAPING_RUN.finditer(text):
        if len(run[0]) > _MOST_SHAPING or (_is_plain(text[run.start() - 1 : run.start()]) and _is_plain(text[run.end() : run.end() + 1])):
            return run[0][0]
    return next((char for char in text if _is_hidden(char)), None)


def _is_plain(char: str) -> bool:
    """Say whether a character needs no shaping: ASCII, a letter of a script whose letters stand alone, or the text's edge."""
    return char.isascii() or unicodedata.name(char, "").startswith(_PLAIN_SCRIPTS)


def _is_hidden(char: str) -> bool:
    category = unicodedata.category(char)
    if category == "Cc":
        return char not in _ALLOWED_CONTROL
    return category in {"Cf", "Cs", "Co", "Cn", "Zl", "Zp"} and _SHAPING_RUN.match(char) is None


def list_links(text: str) -> set[str]:
    """Return where a text links to: the hosts of its web addresses and of addresses that only look like one, in lower case."""
    return {(match["linked"] or match["named"]).rstrip(".,:;") for match in _LINK.finditer(text.lower())}


def gives_orders(text: str) -> bool:
    """Say whether a text speaks to the model that reads it and not to a person; a reviewer decides what that means."""
    return _ORDER.search(text) is not None


def find_personal_data(text: str) -> list[Mark]:
    """Mark what looks like personal data, in the order of the text; a stretch is marked once, by the most certain kind."""
    marks: list[Mark] = []
    for mark in _candidates(text):
        if all(mark.end <= other.start or mark.start >= other.end for other in marks):
            marks.append(mark)
    return sorted(marks, key=lambda mark: mark.start)


_PATTERNS = (
    (PersonalDataKind.EMAIL, re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    (
        PersonalDataKind.KEY,
        re.compile(
            r"\b(?:sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}|hf_\w{20,}"
            r"|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,})"
        ),
    ),
    (PersonalDataKind.PASSWORD, re.compile(r"\b(?:password|passwd|passcode|pin|pw)\b\s*(?:is|was|:|=)\s*(\S{3,})", re.IGNORECASE)),
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}\b")
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_IP = re.compile(r"(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4})(?![\w.])", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w#.-])(?:\+|00)?\(?\d{1,4}\)?(?:[ /.-]?\(?\d{2,5}\)?){2,5}(?![\w-])")


def _candidates(text: str) -> Iterator[Mark]:
    """Yield everything that looks like personal data, the most certain kinds first."""
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield Mark(kind=kind, start=match.start(match.lastindex or 0), end=match.end(match.lastindex or 0))
    yield from _checked(PersonalDataKind.IBAN, _IBAN, text, _is_iban)
    yield from _checked(PersonalDataKind.CARD, _CARD, text, _is_card)
    yield from _checked(PersonalDataKind.IP_ADDRESS, _IP, text, _is_ip)
    yield from _checked(PersonalDataKind.PHONE, _PHONE, text, _is_phone)


def _checked(kind: PersonalDataKind, pattern: re.Pattern[str], text: str, is_valid: Callable[[str], bool]) -> Iterator[Mark]:
    return (Mark(kind=kind, start=match.start(), end=match.end()) for match in pattern.finditer(text) if is_valid(match[0]))


def _is_card(found: str) -> bool:
    """Check the Luhn digit."""
    digits = [int(char) for char in found if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(found: str) -> bool:
    """Check the remainder by 97 (ISO 13616)."""
    compact = found.replace(" ", "")
    return 15 <= len(compact) <= 34 and int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def _is_ip(found: str) -> bool:
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return False
    return "." in found or found.count(":") >= 3


def _is_phone(found: str) -> bool:
    """Take 9 to 15 digits with a leading + or 0, or in groups; a plain long number is rather an order's or a date."""
    digits = re.sub(r"\D", "", found)
    return 9 <= len(digits) <= 15 and (found[0] in "+0(" or len(re.findall(r"[ /-]", found)) >= 2)
