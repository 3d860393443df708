from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from assistant.api.description import describe_api


class Asked(BaseModel):
    """What is asked."""

    text: str


@pytest.fixture
def described() -> Iterator[dict[str, Any]]:
    router = APIRouter()

    @router.post("/chat/completions")
    def ask(body: Asked) -> str:
        return body.text

    @router.get("/admin/runs/{run_id}")
    def read(run_id: int) -> int:
        return run_id

    api = FastAPI()
    api.include_router(router)
    before = api.openapi()["paths"]["/chat/completions"]["post"]["responses"].keys()
    yield describe_api(api, server="../../v1")
    assert api.openapi()["paths"]["/chat/completions"]["post"]["responses"].keys() == before


def test_each_endpoint_tells_the_scope_that_the_door_asks_for(described: dict[str, Any]) -> None:
    assert described["paths"]["/chat/completions"]["post"]["security"] == [{"key": ["chat"]}]
    assert described["paths"]["/admin/runs/{run_id}"]["get"]["security"] == [{"key": ["admin"]}]
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert described["servers"] == [{"url": "../../v1"}]


def test_no_answer_is_told_that_is_never_given(described: dict[str, Any]) -> None:
    assert set(described["paths"]["/chat/completions"]["post"]["responses"]) == {"200"}
    assert set(described["components"]["schemas"]) == {"Asked"}
