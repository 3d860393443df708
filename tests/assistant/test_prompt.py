from collections.abc import Sequence

from assistant.prompt import add_reference, build_messages, trim_history


def test_messages_are_system_then_turns_then_the_question() -> None:
    messages = build_messages("Be kind.", [("a", "b")], "c")
    assert [(m["role"], m["content"]) for m in messages] == [("system", "Be kind."), ("user", "a"), ("assistant", "b"), ("user", "c")]


def test_without_a_system_message_there_is_none() -> None:
    assert [m["role"] for m in build_messages(None, [], "c")] == ["user"]


def test_passages_stand_before_the_question_in_the_users_message() -> None:
    messages = build_messages("Be kind.", [], "When?", ["It opens at 9.", "It closes at 5."])
    assert messages[0]["content"] == "Be kind."
    assert messages[1]["content"] == "Reference:\n- It opens at 9.\n- It closes at 5.\n\nQuestion: When?"


def test_without_passages_the_question_stays_as_it_is() -> None:
    assert add_reference([], "When?") == "When?"


def test_a_history_however_long_is_cut_after_a_few_counts() -> None:
    counted: list[int] = []

    def count(kept: Sequence[tuple[str, str]]) -> int:
        counted.append(len(kept))
        return 20 * len(kept)

    history = [(str(number), "x") for number in range(100_000)]
    assert trim_history(history, token_budget=1000, count_tokens=count) == history[-50:]
    assert len(counted) < 15
    assert max(counted) <= 1000
    assert trim_history([("a" * 10_000_000, "b")], token_budget=1000, count_tokens=count) == []


def test_history_is_trimmed_by_whole_turns_oldest_first() -> None:
    history = [("one", "1"), ("two", "2"), ("three", "3")]
    assert trim_history(history, token_budget=2, count_tokens=len) == [("two", "2"), ("three", "3")]


def test_a_budget_below_one_turn_leaves_no_history() -> None:
    assert trim_history([("one", "1")], token_budget=0, count_tokens=len) == []


def test_trimming_leaves_the_given_history_alone() -> None:
    history = [("one", "1"), ("two", "2")]
    trim_history(history, token_budget=1, count_tokens=len)
    assert len(history) == 2
