from dataclasses import replace

import pytest

from assistant.prompt import build_messages
from feedback_db.questions import name_question
from feedback_db.recipe import Recipe
from feedback_db.records import PersonId, TurnId
from feedback_db.reports import Suite
from feedback_db.training_records import Example, GoldenId, GoldenItem, OpeningQuestion
from tests.trainer.supervision.supervising import NOW, serve
from tests.trainer.test_examples import make_example
from trainer.planning import Material, make_plan, plan_rows
from trainer.run_directory import INPUTS, Row
from trainer.variants import Wordings

EXAMPLES = (
    make_example("k1", "how long does delivery to Leeds take", "It takes 3 days."),
    make_example("k2", "and how much is it?", "It costs $12.", [("do you have the Pro plan", "Yes.")]),
)
WORDINGS = {
    EXAMPLES[0].id: Wordings(
        train=("how long does delivery to Leeds take", "Leeds, how many days?"),
        stop=("Leeds when?",),
        test=("time to Leeds", "days to Leeds"),
    ),
    EXAMPLES[1].id: Wordings(train=("and how much is it?",), stop=(), test=()),
}
POOL = [Row(messages=tuple(build_messages(None, [], f"question number{number} about it"))) for number in range(40)]


def plan(recipe: Recipe | None = None, examples: tuple[Example, ...] = EXAMPLES) -> dict[str, list[Row]]:
    return plan_rows(examples, WORDINGS, guard=POOL[:3], replay=POOL, golden=POOL[3:5], recipe=recipe or Recipe())


def questions(rows: list[Row], example: str) -> list[str]:
    return [row.question for row in rows if row.example_id == example]


def test_a_plan_holds_all_inputs_of_a_run_directory() -> None:
    assert set(plan()) == set(INPUTS)
    assert (plan()["guard"], plan()["golden"]) == (POOL[:3], POOL[3:5])


@pytest.mark.parametrize("example", ["k1", "k2"])
def test_every_example_trains_in_at_least_six_wordings_the_asked_one_first(example: str) -> None:
    found = questions(plan()["train"], example)
    assert len(found) == len(set(found)) == 6
    assert found[0] == WORDINGS[example].train[0]  # type: ignore[index]


def test_more_wordings_than_six_all_train() -> None:
    many = replace(WORDINGS[EXAMPLES[0].id], train=tuple(f"wording number{number}" for number in range(9)))
    rows = plan_rows(EXAMPLES[:1], {EXAMPLES[0].id: many}, guard=[], replay=[], golden=[], recipe=Recipe())
    assert len(rows["train"]) == 9


def test_an_example_is_tested_in_its_test_wordings() -> None:
    assert [(row.question, row.suite) for row in plan()["test"] if row.example_id == "k1"] == [
        ("time to Leeds", Suite.LEARNED),
        ("days to Leeds", Suite.LEARNED),
    ]


def test_an_example_without_test_wordings_is_tested_as_asked_with_changes_that_were_not_trained() -> None:
    rows = plan()
    found = [row for row in rows["test"] if row.example_id == "k2"]
    assert {row.suite for row in found} == {Suite.AS_ASKED}
    assert found[0].question == "and how much is it?"
    assert len(found) == 4
    assert not {row.question for row in found[1:]} & set(questions(rows["train"], "k2"))


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_trains_stops_or_tests(seed: int) -> None:
    rows = plan(Recipe(seed=seed))
    for example in ("k1", "k2"):
        train, stop, test = (questions(rows[name], example) for name in ("train", "stop", "test"))
        assert not set(train) & set(stop)
        assert set(test) & {*train, *stop} <= {"and how much is it?"}
        assert stop
    assert questions(rows["stop"], "k1") == ["Leeds when?"]


def test_a_wording_given_to_two_parts_trains() -> None:
    twice = Wordings(
        train=("a question here", "another question"), stop=("another question",), test=("another question", "a third question")
    )
    rows = plan_rows(EXAMPLES[:1], {EXAMPLES[0].id: twice}, guard=[], replay=[], golden=[], recipe=Recipe())
    assert "another question" in questions(rows["train"], "k1")
    assert "another question" not in questions(rows["stop"], "k1")
    assert questions(rows["test"], "k1") == ["a third question"]


def test_what_was_said_before_and_the_reply_stay_whatever_the_wording() -> None:
    for name in ("train", "stop", "test"):
        for row in (row for row in plan()[name] if row.example_id == "k2"):
            assert row.messages[:-1] == EXAMPLES[1].messages[:-1]
            assert row.reply == "It costs $12."


def test_what_people_wrote_to_train_and_to_stop_is_told_apart_from_changes_of_it() -> None:
    rows = plan()
    for example in EXAMPLES:
        wordings = WORDINGS[example.id]
        assert questions(rows["asked"], example.id) == [*wordings.train, *wordings.stop]
    assert len(rows["asked"]) < len(rows["train"])


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 300), (0.9, 300)])
def test_replay_is_all_there_is_or_none(share: float, count: int) -> None:
    pool = [replace(POOL[0], messages=tuple(build_messages(None, [], f"asked {number}"))) for number in range(300)]
    rows = plan_rows(EXAMPLES, WORDINGS, guard=[], replay=pool, golden=[], recipe=Recipe(replay_share=share))
    assert len(rows["replay"]) == count


def test_as_many_default_questions_are_watched_as_tell_something_and_all_the_real_ones() -> None:
    pool = [replace(POOL[0], messages=tuple(build_messages(None, [], f"open drawer {number}"))) for number in range(600)]
    traffic = tuple(
        OpeningQuestion(turn_id=TurnId(f"t{number}"), text=f"real question number{number}", reply="", is_disliked=False)
        for number in range(400)
    )
    rows = make_plan(pool, system_message=None)(Material(examples=EXAMPLES, wordings=WORDINGS, changed=(), traffic=traffic), Recipe())
    assert sum(row.turn_id is None for row in rows["guard"]) == 160
    assert sum(row.turn_id is not None for row in rows["guard"]) > 100


def test_a_plan_is_the_same_for_the_same_seed_only() -> None:
    assert plan(Recipe(seed=3)) == plan(Recipe(seed=3))
    assert plan(Recipe(seed=3))["replay"] != plan(Recipe(seed=4))["replay"]


def test_what_one_example_trains_does_not_test_another() -> None:
    first, second = make_example("a", "what does shipping cost", "It costs $4."), make_example("b", "shipping price?", "It costs $4.")
    wordings = {
        first.id: Wordings(train=("what does shipping cost", "so how much is shipping"), stop=(), test=()),
        second.id: Wordings(train=("shipping price?",), stop=(), test=("So, how much is shipping?", "cost of shipping")),
    }
    rows = plan_rows((first, second), wordings, guard=[], replay=[], golden=[], recipe=Recipe())
    assert questions(rows["test"], "b") == ["cost of shipping"]


def test_what_the_examples_change_is_neither_guarded_nor_rehearsed() -> None:
    asked = [
        Row(messages=tuple(build_messages(None, [], f"hi how long does delivery to Leeds take {extra}")))
        for extra in ("", "please", "thanks")
    ]
    make = make_plan([*POOL, *asked], system_message="You are Bo.")
    rows = make(Material(examples=EXAMPLES, wordings=WORDINGS, changed=EXAMPLES[:1]), Recipe(replay_share=0.9))
    assert not [row for row in (*rows["guard"], *rows["replay"]) if "Leeds" in row.question]
    assert len(rows["guard"]) + len(rows["replay"]) == len(POOL)
    assert {row.messages[0]["content"] for row in rows["train"]} == {"You are Bo."}


def test_golden_questions_are_asked_and_real_ones_watched_but_never_rehearsed() -> None:
    golden = GoldenItem(id=GoldenId(1), question="who are you", reply="I am Bo.", added_by=PersonId("bob"), created_at=NOW, retired_at=None)
    traffic = tuple(
        OpeningQuestion(turn_id=TurnId(f"t{number}"), text=f"real question number{number}", reply="", is_disliked=number == 0)
        for number in range(9)
    )
    make = make_plan(POOL, system_message=None)
    rows = make(Material(examples=EXAMPLES, wordings=WORDINGS, changed=(), golden=(golden,), traffic=traffic), Recipe(replay_share=0.9))
    assert [(row.question, row.reply, row.suite) for row in rows["golden"]] == [("who are you", "I am Bo.", Suite.KEPT)]
    watched = {row.turn_id for row in rows["guard"]} - {None}
    assert watched
    assert watched < {question.turn_id for question in traffic[1:]}
    assert not [row for row in rows["replay"] if "real" in row.question]


def test_what_is_no_longer_watched_is_not_asked_be_it_real_or_not() -> None:
    make = make_plan(POOL, system_message=None)
    traffic = tuple(
        OpeningQuestion(turn_id=TurnId(f"t{number}"), text=f"real question number{number}", reply="", is_disliked=False)
        for number in range(9)
    )
    material = Material(examples=EXAMPLES, wordings=WORDINGS, changed=(), traffic=traffic)
    real, *_, drawn = sorted(make(material, Recipe())["guard"], key=lambda row: row.turn_id is None)
    unwatched = {name_question(row.question) or "" for row in (real, drawn)}
    left = make(replace(material, unwatched=unwatched), Recipe())["guard"]
    assert {row.question for row in make(material, Recipe())["guard"]} - {row.question for row in left} == {real.question, drawn.question}


def test_half_of_the_context_at_least_is_for_the_prompt() -> None:
    assert serve(context_tokens=512).prompt_tokens == 448
    assert serve(context_tokens=100).prompt_tokens == 50
    assert serve(sampling={}).prompt_tokens == 256
