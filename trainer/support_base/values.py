"""The values that fill a template's slots: random facts, and the entities that people ask about.

A fact is drawn anew for every reply, so the base learns how a fact looks and never which one is true. An entity (a product, a
city, an error code …) is drawn from a part of its kind's names: `is_held_out` keeps a third of all names out of pretraining for
ever, by hash, so that an evaluation can ask about names that were never seen.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from trainer.support_base import names

Draw = Callable[[Random], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """How one kind of fact is drawn, and the regular expression that every drawn value matches."""

    draw: Draw
    pattern: str


def is_held_out(kind: str, name: str) -> bool:
    """Say whether an entity's name belongs to the third that never occurs in pretraining.

    Case, blanks, hyphens and an article make no other name: 'SAVE-20' is 'save20'.
    """
    plain = re.sub(r"^(?:the|a|an) |[^a-z0-9]", "", name.lower())
    digest = hashlib.sha256(f"{kind}:{plain}".encode()).digest()
    return digest[0] % 3 == 0


def draw_entity(kind: str, rng: Random, *, held_out: bool) -> str:
    """Draw an entity's name of a kind from the asked part.

    Raises:
        KeyError: there is no such kind.
    """
    draw = _ENTITIES[kind]
    for _ in range(200):
        name = draw(rng)
        if is_held_out(kind, name) == held_out:
            return name
    raise AssertionError(f"200 draws of {kind!r} gave no name with held_out={held_out}")


def draw_fact(slot: str, rng: Random) -> str:
    """Draw a value for a fact slot such as `days` or `money2` (a trailing digit only tells two of a kind apart).

    Raises:
        KeyError: there is no such kind of fact.
    """
    return FACTS[slot if slot in FACTS else kind_of(slot)].draw(rng)


def kind_of(slot: str) -> str:
    """Return a slot's kind: `days2` is of the kind `days`."""
    return slot.rstrip("0123456789")


def slot_pattern(slot: str) -> str:
    """Return the regular expression of a slot's values, entities included."""
    kind = kind_of(slot)
    return FACTS[kind].pattern if kind in FACTS else _ENTITY_PATTERN


def _number(low: int, high: int, *, round_share: float = 0.0) -> Slot:
    """Make a slot of whole numbers, `round_share` of them rounded to tens as people like their limits."""

    def draw(rng: Random) -> str:
        value = rng.randint(low, high)
        if value > 20 and rng.random() < round_share:
            value -= value % 10
        return str(value)

    return Slot(draw=draw, pattern=r"\d{1,6}")


def _choice(*options: str) -> Slot:
    return Slot(draw=lambda rng: rng.choice(options), pattern="(?:" + "|".join(map(re.escape, options)) + ")")


def _draw_money(rng: Random) -> str:
    return _draw_amount(rng, rng.choice((rng.randint(2, 20), rng.randint(20, 99), rng.randint(100, 400))))


def _draw_amount(rng: Random, whole: int) -> str:
    amount = f"{whole}{rng.choice(('', '', '.50', '.90', '.99', f'.{rng.randint(10, 98)}'))}"
    return rng.choice((f"${amount}", f"${amount}", f"£{amount}", f"{amount} euros", f"€{amount}"))


def _draw_count(rng: Random) -> str:
    return str(rng.choice((rng.randint(2, 12), rng.randint(2, 30), rng.randint(4, 20) * 5, rng.randint(10, 50) * 10)))


def _draw_opening_time(rng: Random) -> str:
    return f"{rng.randint(5, 11)}{rng.choice(('', '', ':30', ':15', ':45'))} am"


def _draw_closing_time(rng: Random) -> str:
    return f"{rng.randint(1, 11)}{rng.choice(('', '', ':30', ':15', ':45'))} pm"


def _draw_phone(rng: Random) -> str:
    first, second, third = rng.randint(200, 989), rng.randint(200, 989), rng.randint(1000, 9999)
    return rng.choice((f"0{first} {second} {third}", f"+{rng.randint(20, 79)} {first} {second} {third}", f"1-800-{second}-{third}"))


def _draw_email(rng: Random) -> str:
    return f"{rng.choice(names.MAILBOXES)}@{_draw_domain(rng)}"


def _draw_domain(rng: Random) -> str:
    return f"{names.invent_word(rng).lower()}.example"


def _draw_url(rng: Random) -> str:
    return f"{_draw_domain(rng)}/{rng.choice(names.URL_PATHS)}"


def _draw_menu(rng: Random) -> str:
    steps = [rng.choice(names.MENU_TOP), rng.choice(names.MENU_MIDDLE)]
    if rng.random() < 0.45:
        steps.append(rng.choice(names.MENU_LAST))
    return " > ".join(steps)


def _draw_street(rng: Random) -> str:
    return f"{rng.randint(2, 240)} {rng.choice(names.STREET_FIRST)} {rng.choice(names.STREET_LAST)}"


def _draw_code(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTUVWXZ") for _ in range(rng.randint(1, 3)))
    return f"{letters}{rng.randint(2, 99)}{rng.choice(('', f'-{rng.randint(2, 99)}'))}"


_MONEY = r"(?:[$£€]\d+(?:\.\d\d)?|\d+(?:\.\d\d)? euros)"
_TIME = r"\d{1,2}(?::\d\d)? [ap]m"
_WORDS = r"[A-Z][\w&'-]*(?: [\w&'-]+){0,4}"

FACTS: dict[str, Slot] = {
    "days": _number(2, 90, round_share=0.3),
    "hours": _number(2, 96),
    "minutes": _number(2, 90, round_share=0.3),
    "seconds": _number(3, 60),
    "weeks": _number(2, 16),
    "months": _number(2, 60),
    "years": _number(2, 12),
    "count": Slot(draw=_draw_count, pattern=r"\d{1,3}"),
    "few": _number(2, 12),
    "digits": _number(4, 20),
    "percent": Slot(draw=lambda rng: f"{rng.randint(3, 75)}%", pattern=r"\d{1,2}%"),
    "money": Slot(draw=_draw_money, pattern=_MONEY),
    "fee": Slot(draw=lambda rng: _draw_amount(rng, rng.randint(2, 39)), pattern=_MONEY),
    "threshold": Slot(draw=lambda rng: _draw_amount(rng, rng.randint(40, 400)), pattern=_MONEY),
    "size": Slot(draw=lambda rng: f"{rng.choice(names.SIZES)} {rng.choice(('GB', 'GB', 'TB', 'MB'))}", pattern=r"\d+ (?:GB|TB|MB)"),
    "time": Slot(draw=_draw_opening_time, pattern=_TIME),
    "time2": Slot(draw=_draw_closing_time, pattern=_TIME),
    "weekday": _choice("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "workday": _choice("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
    "phone": Slot(draw=_draw_phone, pattern=r"\+?[\d][\d -]{6,16}\d"),
    "email": Slot(draw=_draw_email, pattern=r"[\w.-]+@[\w-]+\.example"),
    "url": Slot(draw=_draw_url, pattern=r"[\w-]+\.example/[\w-]+"),
    "menu": Slot(draw=_draw_menu, pattern=rf"{_WORDS}(?: > {_WORDS}){{1,2}}"),
    "button": Slot(draw=lambda rng: f"'{rng.choice(names.BUTTONS)}'", pattern=r"'[^']{2,30}'"),
    "street": Slot(draw=_draw_street, pattern=r"\d{1,3} [A-Z]\w+ [A-Z]\w+"),
    "color": _choice(*names.COLORS),
    "version": Slot(
        draw=lambda rng: f"{rng.randint(2, 9)}.{rng.randint(0, 19)}" + rng.choice(("", f".{rng.randint(1, 9)}")),
        pattern=r"\d+\.\d+(?:\.\d+)?",
    ),
    "region": _choice(*(region for region in names.REGIONS if not is_held_out("country", region))),
    "team": _choice(*names.TEAMS),
    "part": _choice(*names.PARTS),
    "document": _choice(*names.DOCUMENTS),
    "name": Slot(draw=names.invent_word, pattern=r"[A-Z][a-z]+"),
    "person": Slot(draw=lambda rng: f"{rng.choice(names.PERSONAS)} {names.invent_word(rng)}", pattern=r"[A-Z][a-z]+ [A-Z][a-z]+"),
    "code": Slot(draw=_draw_code, pattern=r"[A-Z]{1,3}\d{1,2}(?:-\d{1,2})?"),
}

# Long enough for every name below, short enough not to swallow a sentence.
_ENTITY_PATTERN = r"[#\w][^.!?;:]{0,44}?"


def _draw_product(rng: Random) -> str:
    return f"{names.draw_brand(rng)} {rng.choice(names.PRODUCT_NOUNS)}"


def _draw_device(rng: Random) -> str:
    return f"{names.draw_brand(rng)} {rng.choice(names.DEVICE_NOUNS)}"


def _draw_plan(rng: Random) -> str:
    first = rng.choice(names.PLAN_WORDS) if rng.random() < 0.7 else names.invent_word(rng)
    return f"{first} {rng.choice(names.PLAN_SUFFIXES)}" if rng.random() < 0.3 else first


def _draw_error(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFHKLMNPRSTUVWX") for _ in range(rng.choice((1, 1, 2, 3))))
    digits = "".join(rng.choice("0123456789") for _ in range(rng.choice((2, 3, 3, 4))))
    return rng.choice((f"{letters}-{digits}", f"{letters}{digits}", f"{letters} {digits}", digits.lstrip("0").rjust(3, "4")))


def _draw_order(rng: Random) -> str:
    digits = str(rng.randint(10_000, 9_999_999))
    return rng.choice((digits, f"#{digits}", f"{rng.choice('ABDKNPSW')}-{digits[:5]}", f"#{rng.choice('ABDKNPSW')}{digits[:5]}"))


def _draw_promo(rng: Random) -> str:
    return f"{rng.choice(names.PROMO_WORDS)}{rng.choice(('', '-'))}{rng.choice((5, 10, 15, 20, 25, 30, 50, rng.randint(2, 99)))}"


def _draw_repair(rng: Random) -> str:
    return f"{rng.choice(('R', 'RMA', 'REP', 'S', 'RX'))}{rng.choice(('-', '-', ''))}{rng.randint(1_000, 999_999)}"


def _draw_city(rng: Random) -> str:
    return rng.choice(names.CITIES) if rng.random() < 0.7 else names.invent_town(rng)


def _draw_app(rng: Random) -> str:
    return rng.choice(names.APPS) if rng.random() < 0.6 else names.invent_word(rng) + rng.choice(("", "", " CRM", " Desk", "ly", " Mail"))


def _draw_method(rng: Random) -> str:
    return rng.choice(names.METHODS) if rng.random() < 0.7 else f"{names.invent_word(rng)} {rng.choice(('Pay', 'Wallet', 'card'))}"


def _draw_service(rng: Random) -> str:
    return f"{rng.choice(names.SERVICE_THINGS)} {rng.choice(names.SERVICE_ACTS)}"


def _draw_country(rng: Random) -> str:
    return rng.choice(names.COUNTRIES)


_ENTITIES: dict[str, Draw] = {
    "product": _draw_product,
    "device": _draw_device,
    "plan": _draw_plan,
    "city": _draw_city,
    "country": _draw_country,
    "error": _draw_error,
    "order": _draw_order,
    "promo": _draw_promo,
    "service": _draw_service,
    "app": _draw_app,
    "method": _draw_method,
    "repair": _draw_repair,
}
ENTITY_KINDS = frozenset(_ENTITIES)
