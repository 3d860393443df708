"""What becomes of a run whose trainer is gone: from what it told, how often it was tried, and whether somebody cancelled it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trainer.errors import TrainerKilledError

_MOST_VANISHED = 3  # attempts that ended without a word, after which the same would only happen again


class Step(StrEnum):
    """What is to be done with the run."""

    CONCLUDE = "conclude"
    RESUME = "resume"
    CANCEL = "cancel"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What is to be done; `error` is the sentence of a failed run, and None for the others."""

    step: Step
    error: str | None = None


def judge_end(
    events: Sequence[Mapping[str, Any]], *, attempt: int, has_report: bool, is_cancelled: bool, return_code: int | None
) -> Aftermath:
    """Say what becomes of a run by its events.

    A cancelled one ends, even if its trainer had just finished: who cancels does not want it to go live. One that was asked to end by
    somebody else, or that was killed, is resumed; but one that ends without a word again and again has failed.
    """
    last = events[-1] if events else {"phase": ""}
    if is_cancelled:
        return Aftermath(step=Step.CANCEL)
    if last["phase"] == "finished" and has_report:
        return Aftermath(step=Step.CONCLUDE)
    if last["phase"] == "failed":
        return Aftermath(step=Step.FAIL, error=str(last.get("error") or "The trainer failed and did not say why."))
    vanished = attempt - sum(event["phase"] == "stopped" for event in events)
    if vanished >= _MOST_VANISHED:
        return Aftermath(step=Step.FAIL, error=str(TrainerKilledError(vanished, return_code)))
    return Aftermath(step=Step.RESUME)
