import pytest

from trainer.support_base.corpus import Corpus
from trainer.support_base.evaluation import states
from trainer.support_base.grammar import fill_slots, slots_of
from trainer.support_base.reading import Reader
from trainer.support_base.turns import TurnKind


def test_a_reply_of_no_phrasing_is_not_readable(corpus: Corpus) -> None:
    assert Reader(corpus).read("Bananas are rich in potassium and the password is yellow.") is None


def test_masking_hides_the_values_and_keeps_everything_else(corpus: Corpus) -> None:
    reader, intent = Reader(corpus), corpus.intents["talk_to_person"]
    one, other = (fill_slots(intent.answers[0], {"time": a, "time2": b}) for a, b in (("8 am", "5 pm"), ("7:30 am", "6 pm")))
    first, second, framed = reader.read(one), reader.read(other), reader.read(f"Hello! {one}")
    assert first is not None
    assert second is not None
    assert framed is not None
    assert first.masked == second.masked != framed.masked
    assert first.values == {"time": "8 am", "time2": "5 pm"}
    assert first.kind is TurnKind.ANSWER


def test_no_two_topics_share_a_phrasing(corpus: Corpus) -> None:
    templates = [(t, i.id) for i in corpus.intents.values() for t in (*i.answers, *i.clarify, *sum(i.follow_ups.values(), ()))]
    seen: dict[str, str] = {}
    for template, topic in templates:
        masked = fill_slots(template, dict.fromkeys(slots_of(template), "*"))
        assert seen.setdefault(masked, topic) == topic, template


@pytest.mark.parametrize(
    ("text", "value", "stated"),
    [
        ("It takes 5 days.", "5", True),
        ("It takes 15 days.", "5", False),
        ("It costs $5.50.", "5", False),
        ("It costs $5.", "$5", True),
        ("We ship to new york.", "New York", True),
        ("See a.example/help.", "a.example/help", True),
    ],
)
def test_a_value_is_stated_only_as_a_whole(text: str, value: str, stated: bool) -> None:
    assert states(text, value) is stated
