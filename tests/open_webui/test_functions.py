"""The functions that are pasted into Open WebUI, as far as they go without it; tests/e2e/test_open_webui.py has them in the real one."""

import asyncio
import importlib.util
import re
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from assistant.api.completion_request import CompletionRequest, read_request
from assistant.api.feedback import FeedbackRequest

FUNCTIONS = Path(__file__).parents[2] / "docs" / "open_webui"
ANN: dict[str, Any] = {"id": "ann", "email": "ann@example.com"}
QUESTION: dict[str, Any] = {"model": "support", "messages": [{"role": "user", "content": "How long?"}]}


def run(told: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns, in a thread of its own: a browser of other tests may have a loop running in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, told).result()


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FUNCTIONS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ratings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The function of ratings, whose host is not there."""
    feedbacks = ModuleType("open_webui.models.feedbacks")
    feedbacks.Feedbacks = None  # type: ignore[attr-defined]
    for name in ("aiohttp", "open_webui", "open_webui.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "open_webui.models.feedbacks", feedbacks)
    return load("errata_ratings")


def mark(body: dict[str, Any], *, consent: str = "who agrees", chat_id: str = "c1", agrees: bool | None = None, base: str = "") -> Any:
    """Return what the filter makes of a question."""
    found = load("errata_filter").Filter()
    found.valves = found.Valves(consent=consent)
    user = ANN if agrees is None else {**ANN, "valves": SimpleNamespace(may_learn=agrees)}
    model = {"id": body["model"], "info": {"base_model_id": base or None}}
    return run(found.inlet(body, user, {"chat_id": chat_id, "message_id": "m1"}, model))


@pytest.mark.parametrize("name", ["errata_filter", "errata_correct", "errata_ratings"])
def test_each_function_says_in_front_what_it_is_and_what_it_was_tried_with(name: str) -> None:
    front = (FUNCTIONS / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    told = dict(re.findall(r"^(\w+): (.+)$", front, re.MULTILINE))
    assert told.keys() == {"title", "author", "description", "required_open_webui_version", "version", "license"}
    assert told["required_open_webui_version"] == "0.12.4"


def test_errata_understands_what_the_filter_tells() -> None:
    asked = read_request(CompletionRequest.model_validate(mark(QUESTION, agrees=True)))
    assert (asked.message, asked.user) == ("How long?", "ann")
    assert (asked.context.chat_id, asked.context.message_id, asked.context.consent) == ("c1", "m1", True)
    assert "may_learn" in asked.context.wording


@pytest.mark.parametrize(
    ("consent", "agrees", "chat_id", "given"),
    [
        ("who agrees", None, "c1", False),
        ("who agrees", False, "c1", False),
        ("who agrees", True, "c1", True),
        ("everybody", None, "c1", True),
        ("nobody", True, "c1", False),
        ("everybody", True, "temporary:1", False),
        ("everybody", True, "local:1", False),
        ("everybody", True, "channel:1", False),
    ],
)
def test_consent_is_whose_the_admin_says(consent: str, agrees: bool | None, chat_id: str, given: bool) -> None:
    assert mark(QUESTION, consent=consent, agrees=agrees, chat_id=chat_id)["errata"]["consent"] is given


def test_no_other_model_is_told_anything() -> None:
    other = {**QUESTION, "model": "gpt-9"}
    assert mark(other) == other
    assert "errata" in mark(other, base="support")
    assert "errata" in mark({**QUESTION, "model": "support@7"})


@pytest.mark.parametrize(("rating", "is_good"), [(1, True), (-1, False), ("1", True)])
def test_a_thumb_is_a_rating_and_what_is_written_with_it_a_comment(ratings: ModuleType, rating: object, is_good: bool) -> None:
    data = {"rating": rating, "reason": "wrong", "comment": "Hm."}
    said = [FeedbackRequest.model_validate(one) for one in ratings.list_said(data, {"chat_id": "c", "message_id": "m"}, "ann")]
    assert [(one.metric_name, one.value) for one in said] == [("rating", is_good), ("comment", "Hm.")]
    assert {(one.chat_id, one.message_id, one.tags["user"], one.tags["reason"]) for one in said} == {("c", "m", "ann", "wrong")}


@pytest.mark.parametrize("data", [{}, {"rating": None}, {"rating": 0}, {"rating": "up"}])
def test_what_is_neither_up_nor_down_is_not_told(ratings: ModuleType, data: dict[str, Any]) -> None:
    assert ratings.list_said(data, {"chat_id": "c", "message_id": "m"}, "ann") == []


def test_ratings_of_other_models_are_not_told(ratings: ModuleType) -> None:
    assert not ratings.is_errata({"model_id": "gpt-9"}, {}, "support")
    assert ratings.is_errata({"model_id": "support@7"}, {}, "other, support")
    assert ratings.is_errata({"model_id": "desk"}, {"base_models": {"desk": "support"}}, "support")
