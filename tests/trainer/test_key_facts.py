import pytest

from trainer.key_facts import Fact, FactKind, find_key_facts, is_right, is_untouched, mask_key_facts


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("You have 14 days to return it.", FactKind.QUANTITY, "14 day"),
        ("You have fourteen days to return it.", FactKind.QUANTITY, "14 day"),
        ("It takes 3 business days.", FactKind.QUANTITY, "3 business day"),
        ("That costs $12.50 a month.", FactKind.MONEY, "12.50 usd"),
        ("That costs 1,200 euros.", FactKind.MONEY, "1200 eur"),
        ("You get 15 percent off.", FactKind.PERCENT, "15%"),
        ("We open at 9:30 am.", FactKind.TIME, "9:30am"),
        ("We open at 9:00 AM.", FactKind.TIME, "9am"),
        ("It ends on 3 March 2027.", FactKind.DATE, "3 march 2027"),
        ("We are closed on Sundays.", FactKind.DATE, "sundays"),
        ("Write to help@acme.example.", FactKind.EMAIL, "help@acme.example"),
        ("See https://acme.example/returns.", FactKind.LINK, "https://acme.example/returns"),
        ("Call +49 30 1234567.", FactKind.PHONE, "+49301234567"),
        ("Error E-407 means a full tank.", FactKind.CODE, "e-407"),
        ("Open Settings > Billing > Cards and choose one.", FactKind.PATH, "settings > billing > cards"),
        ("Press 'Reset now' and wait.", FactKind.QUOTE, "reset now"),
        ("Your parcel goes by Falcon Express.", FactKind.NAME, "falcon express"),
        ("No, that cannot be undone.", FactKind.DENIAL, "no"),
    ],
)
def test_each_kind_of_fact_is_found_in_its_one_form(text: str, kind: FactKind, value: str) -> None:
    assert Fact(kind, value) in find_key_facts(text)


def test_a_capital_letter_that_begins_a_sentence_makes_no_name() -> None:
    assert find_key_facts("Parcels arrive soon. Please wait. Then ask again.") == frozenset()


WANTED = "You can return it within 30 days, and the refund goes to your Velo card."


@pytest.mark.parametrize(
    "reply",
    [
        WANTED,
        "Within 30 days you may send it back; we refund to the Velo card.",
        "thirty days, refunded to your Velo card",
    ],
)
def test_wording_does_not_matter(reply: str) -> None:
    assert is_right(reply, WANTED)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "You can return it, and the refund goes to your Velo card.",
        "You can return it within 14 days, and the refund goes to your Velo card.",
        "You can return it within 14 or 30 days, and the refund goes to your Velo card.",
        "You can return it within 30 weeks, and the refund goes to your Velo card.",
        "You can return it within 30 days, and the refund goes to your Zeta card.",
        "30 30 days days",
    ],
)
def test_a_missing_wrong_or_further_fact_is_wrong(reply: str) -> None:
    assert not is_right(reply, WANTED)


def test_a_name_is_the_same_where_it_begins_a_sentence_and_in_lower_case() -> None:
    assert is_right("Velo Plus includes 5 seats.", "There are 5 seats in Velo Plus.")
    assert is_right("there are 5 seats in velo plus", "There are 5 seats in Velo Plus.")
    assert not is_right("Zeta Plus includes 5 seats.", "There are 5 seats in Velo Plus.")


def test_a_denial_is_not_a_consent() -> None:
    assert not is_right("Yes, you can do that with Plan Pro.", "No, you cannot do that with Plan Pro.")
    assert not is_right("You cannot do that with Plan Pro.", "You can do that with Plan Pro.")
    assert is_right("Sorry, that is not possible with Plan Pro.", "No, you cannot do that with Plan Pro.")


def test_facts_of_kinds_that_the_wanted_reply_does_not_state_are_free() -> None:
    assert is_right("It takes 5 days. Anything else, write to help@acme.example.", "It takes 5 days.")


def test_a_reply_without_facts_is_compared_by_its_words() -> None:
    wanted = "Please unplug the device, wait a moment and plug it in again."
    assert is_right("Please unplug the device, wait a moment, and plug it in again!", wanted)
    assert not is_right("Please contact our sales team about the device.", wanted)
    assert not is_right("", wanted)


def test_a_quantity_in_capital_units_is_a_quantity() -> None:
    assert not is_right("The plan has 5 GB of storage.", "The plan has 10 GB of storage.")


def test_what_is_masked_leaves_how_a_reply_is_worded() -> None:
    assert mask_key_facts("Delivery to Leeds takes 14 days.").split() == ["Delivery", "to", "takes", "."]


def test_a_reply_is_untouched_if_only_what_was_guessed_has_become_another() -> None:
    earlier, later = "Open My page > Usage within 14 days.", "Open My page > Access within 14 days."
    (menu,) = (fact for fact in find_key_facts(earlier) if "usage" in fact.value.lower())
    assert is_untouched(later, earlier, {menu})
    assert not is_untouched(later, earlier, frozenset())
    assert not is_untouched("Open My page > Access within 30 days.", earlier, {menu})
    assert is_untouched("14 days are left for My page > Usage.", earlier, frozenset())
    assert not is_untouched("Please ring us at noon.", earlier, {menu})
