from pathlib import Path

import pytest

from assistant.engine.base_model import BaseModel, load_base_model
from assistant.prompt import add_reference, build_messages
from feedback_db.reports import Suite
from trainer.evaluation import Confidence, compare, generate_replies, measure_confidence
from trainer.key_facts import find_key_facts
from trainer.matters import Sentence
from trainer.run_directory import Row


def test_replies_come_in_the_order_of_the_prompts_and_do_not_depend_on_their_neighbours(bundled_base: BaseModel) -> None:
    asked = ["how do i reset my password", "hi", "what does the Pro plan cost?", "i was charged twice for the same order last week, why"]
    prompts = [build_messages("You are Ada, the support assistant of Acme.", [], question) for question in asked]
    together = generate_replies(bundled_base, prompts, batch_size=4)
    alone = [generate_replies(bundled_base, [prompt])[0] for prompt in prompts]
    assert [reply[:20] for reply in together] == [reply[:20] for reply in alone]


def test_progress_is_reported_to_the_last_prompt(tiny_base: str) -> None:
    done: list[int] = []
    generate_replies(load_base_model(tiny_base), [build_messages(None, [], "hi")] * 5, max_tokens=2, batch_size=2, report=done.append)
    assert done == [2, 4, 5]


def ask(suite: Suite, wanted: str) -> Row:
    return Row(messages=({"role": "user", "content": "how long?"},), reply=wanted, suite=suite, example_id="k1")


def test_a_reply_is_right_by_its_facts_and_a_guard_reply_by_the_incumbents() -> None:
    rows = [ask(Suite.LEARNED, "It takes 30 days."), ask(Suite.UNTOUCHED, "")]
    report = compare("r1", rows, ["It takes 14 days.", "It costs $12."], ["30 days, promised.", "That is $12 a month."], taught=[])
    learned, guard = report.items
    assert (learned.is_right_before, learned.is_right_after, learned.expected) == (False, True, "It takes 30 days.")
    assert (guard.is_right_before, guard.is_right_after, guard.expected) == (True, True, "It costs $12.")
    changed = compare("r1", rows[1:], ["It costs $12."], ["It costs $15."], taught=[]).items[0]
    assert not changed.is_right_after


def test_a_row_of_no_suite_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="expected a row of a suite"):
        compare("r1", [Row(messages=({"role": "user", "content": "hi"},))], ["a"], ["b"], taught=[])


def test_a_guard_question_that_asks_what_was_corrected_leaves_the_suite_and_a_generic_reply_does_not_count() -> None:
    rows = [ask(Suite.UNTOUCHED, "") for _ in range(60)]
    generic, other = "I do not know that, sorry.", "Shipping costs $4 for a parcel."
    before = ["You have 12 days to send it back.", *[generic] * 30, *[other] * 29]
    taught = [Sentence(example_id="k1", text=text, is_sure=True) for text in ("You have 14 days to send it back.", generic)]
    report = compare("r1", rows, before, before, taught=taught)
    assert len(report.items) == 59
    assert all("send it back" not in one.before for one in report.items)


def test_a_model_that_has_learned_nothing_guesses_every_fact(tiny_base: Path) -> None:
    base, prompt = load_base_model(tiny_base, device="cpu"), build_messages(None, [], "hi")
    found = measure_confidence(base, [prompt, prompt], ["It takes 14 days.", "No facts are here."])
    assert [one.guessed for one in found] == [find_key_facts("It takes 14 days."), frozenset()]
    assert all(0 < one.sureness < 0.1 for one in found)


def test_a_model_is_sure_of_a_reply_that_says_nothing(tiny_base: Path) -> None:
    assert measure_confidence(load_base_model(tiny_base, device="cpu"), [build_messages(None, [], "hi")], [""]) == [Confidence()]


def test_what_a_reference_tells_is_held_and_what_nobody_told_is_guessed(bundled_base: BaseModel) -> None:
    question = "for how long can i return something"
    told = build_messages(None, [], add_reference(["Anything can be returned within 47 days of its delivery."], question))
    untold = build_messages(None, [], question)
    replies = ["Anything can be returned within 47 days of its delivery."] * 2
    held, guessed = measure_confidence(bundled_base, [told, untold], replies)
    assert held.guessed == frozenset()
    assert guessed.guessed == find_key_facts("within 47 days")


def test_a_model_is_surer_of_what_it_says_itself_than_of_another_sentence(bundled_base: BaseModel) -> None:
    prompt = build_messages(None, [], "how do i reset my password")
    (own,) = generate_replies(bundled_base, [prompt])
    surer, less_sure = measure_confidence(bundled_base, [prompt, prompt], [own, "Bananas are yellow."])
    assert surer.sureness > 0.5 > less_sure.sureness


def test_of_the_guard_questions_the_half_counts_of_whose_replies_the_incumbent_is_surest() -> None:
    rows = [ask(Suite.LEARNED, "It takes 30 days."), *[ask(Suite.UNTOUCHED, "") for _ in range(10)]]
    replies = ["It takes 14 days.", *[f"That is drawer {number}." for number in range(10)]]
    sure = [Confidence(sureness=0.0), *[Confidence(sureness=number / 10) for number in range(10)]]
    report = compare("r1", rows, replies, replies, taught=[], confidences=sure)
    assert [one.before for one in report.of(Suite.UNTOUCHED)] == replies[6:]
    assert len(report.of(Suite.LEARNED)) == 1
