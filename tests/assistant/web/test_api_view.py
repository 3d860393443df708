import json
import re
import shlex
from html import unescape
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Header, Query
from pydantic import BaseModel, ConfigDict, Field

from assistant.api.description import describe_api
from assistant.web.api_view import render_api


class Part(BaseModel):
    text: str = ""


class Message(BaseModel):
    role: str
    content: str | list[Part] | None = None


class Asked(BaseModel):
    """What is asked; `model` says of whom, <b>not</b> bold."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"messages": [], "why": "It's new"}]})

    messages: Annotated[list[Message], Field(min_length=1)]
    heat: Annotated[float, Field(gt=0, le=2)] | None = None
    loud: bool = False


@pytest.fixture
def shown() -> str:
    router = APIRouter()

    @router.post("/chat/{talk}")
    def ask(talk: str, body: Asked, note: Annotated[str | None, Header()] = None) -> None:
        """Ask `something`."""

    @router.get("/runs")
    def list_runs(limit: Annotated[int, Query(ge=1, le=200)] = 50) -> None:
        """List."""

    api = FastAPI()
    api.include_router(router)
    return render_api(describe_api(api, server="../../v1"), address="https://errata.test/support/v1")


def test_each_field_is_told_with_its_bounds_and_those_within_it(shown: str) -> None:
    found = re.findall(r"<dt><code>(.*?)</code></dt><dd>(.*?)</dd>", shown)
    told: dict[str, Any] = {name: re.sub("<.*?>", "", words) for name, words in found}
    assert told == {
        "talk": "needed, in the path, text",
        "note": "in the header, text",
        "messages": "needed, list of objects, at least 1",
        "messages[].role": "needed, text",
        "messages[].content": "text or list of objects",
        "messages[].content[].text": "text",
        "heat": "number, above 0, at most 2",
        "loud": "true or false; false by default",
        "limit": "in the query, whole number, at least 1, at most 200; 50 by default",
    }


def test_words_in_code_are_marked_and_nothing_that_they_hold_runs(shown: str) -> None:
    assert "Ask <code>something</code>." in shown
    assert "&lt;b&gt;not&lt;/b&gt; bold" in shown


def test_an_example_is_a_command_for_a_terminal(shown: str) -> None:
    ask, runs = (shlex.split(unescape(one).replace("\\\n", "")) for one in re.findall(r"<pre[^>]*>(.*?)</pre>", shown, re.S))
    assert ask[:2] == ["curl", "https://errata.test/support/v1/chat/TALK"]
    assert json.loads(ask[-1]) == {"messages": [], "why": "It's new"}
    assert runs == ["curl", "https://errata.test/support/v1/runs", "-H", "Authorization: Bearer $KEY"]


def test_endpoints_stand_under_the_scope_that_they_need(shown: str) -> None:
    assert re.findall(r"<h2>With the scope (\w+)</h2>|</span>(/v1[^<]*)</code></h3>", shown) == [
        ("chat", ""),
        ("", "/v1/chat/{talk}"),
        ("admin", ""),
        ("", "/v1/runs"),
    ]
