import pytest

from trainer.supervision.aftermath import Step, judge_end

STARTING, STOPPED, FINISHED = ({"phase": phase} for phase in ("starting", "stopped", "finished"))
FAILED = {"phase": "failed", "error": "The loss became infinite."}


def judge(*events: dict[str, str], attempt: int = 1, has_report: bool = True, is_cancelled: bool = False, code: int | None = None):
    return judge_end(events, attempt=attempt, has_report=has_report, is_cancelled=is_cancelled, return_code=code)


def test_a_finished_run_is_concluded() -> None:
    assert judge(STARTING, FINISHED).step is Step.CONCLUDE


def test_one_that_says_it_finished_and_left_no_report_is_resumed() -> None:
    assert judge(STARTING, FINISHED, has_report=False).step is Step.RESUME


def test_a_failed_run_fails_with_its_sentence() -> None:
    assert (judge(STARTING, FAILED).step, judge(STARTING, FAILED).error) == (Step.FAIL, "The loss became infinite.")
    assert judge({"phase": "failed"}).error == "The trainer failed and did not say why."


@pytest.mark.parametrize("last", [STARTING, STOPPED, FINISHED, FAILED])
def test_a_cancelled_run_is_cancelled_however_it_ended(last: dict[str, str]) -> None:
    assert judge(last, is_cancelled=True).step is Step.CANCEL


def test_what_somebody_else_stopped_is_resumed_as_often_as_that_happens() -> None:
    assert judge(*[STARTING, STOPPED] * 7, attempt=7).step is Step.RESUME


@pytest.mark.parametrize(("attempt", "step"), [(1, Step.RESUME), (2, Step.RESUME), (3, Step.FAIL)])
def test_a_killed_run_is_tried_three_times(attempt: int, step: Step) -> None:
    assert judge(*[STARTING] * attempt, attempt=attempt).step is step
    assert judge(attempt=attempt).step is step


@pytest.mark.parametrize("code", [None, -9, 137])
def test_memory_may_be_why_it_was_killed(code: int | None) -> None:
    assert "killed 3 times without a word. Memory may have run out" in str(judge(attempt=3, code=code).error)


def test_another_code_is_told() -> None:
    assert "(code 127) 3 times without a word. Read its trainer.log" in str(judge(attempt=3, code=127).error)
