"""`/v1/chat/completions` and `/v1/models`, as OpenAI's clients ask for them.

A chat product asks its model for titles and tags, too. Where it marks such a request with `X-Errata-Task`, it is refused: nobody said it,
so it belongs in no conversation.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from assistant.api.admin_view import name_base
from assistant.api.completion_request import CompletionRequest, name_model, read_request
from assistant.api.completion_stream import CompletionStream, tell_whole
from assistant.api.completions import Completions
from assistant.api.errors import ApiError
from feedback_db.training_records import Release

_VERSION_HEADER = "x-errata-version"
_MOST_BEGINNING = 8  # requests that are read at once, and may wait for a version: all else of the site has threads of its own
_TASK_HEADER = "x-errata-task"  # what a program wants of its own accord; empty where a person asks


def list_chat_routes(completions: Completions, *, clock: Callable[[], datetime]) -> APIRouter:
    """Return the routes of chat."""
    router = APIRouter(tags=["chat"])
    beginning = CapacityLimiter(_MOST_BEGINNING)

    @router.post("/chat/completions", response_model=None)
    async def create_chat_completion(request: Request, body: CompletionRequest) -> Response:
        """Reply to the last message; the model's name in the answer says which version wrote it."""
        _refuse_task(request.headers.get(_TASK_HEADER, ""))
        asked = read_request(body)
        completion = await to_thread.run_sync(lambda: completions.begin(request.state.key, asked, now=clock()), limiter=beginning)
        headers = {_VERSION_HEADER: str(completion.answer.reply.version), "cache-control": "no-store"}
        if not asked.is_streamed:
            return JSONResponse(await tell_whole(completions, completion, request), headers=headers)
        return CompletionStream(completions, completion, tells_usage=asked.tells_usage, headers=headers)

    @router.get("/models")
    def list_models() -> dict[str, Any]:
        """List the names that can be asked for: the live version first, then each version by its number."""
        return {"object": "list", "data": [_describe(name, release) for name, release in completions.list_models()]}

    @router.get("/models/{model}")
    def retrieve_model(model: str) -> dict[str, Any]:
        """Tell of one model."""
        found = next((_describe(name, release) for name, release in completions.list_models() if name == model), None)
        if found is None:
            raise ApiError(404, f"Expected a model that exists. Found none named '{model}'.", code="model_not_found", param="model")
        return found

    return router


def _refuse_task(task: str) -> None:
    if task.strip():
        message = f"Expected what a person asks. Found the task '{task.strip():.60}' of a program. Turn it off, or give it another model."
        raise ApiError(400, message, code="unsupported_value", param="X-Errata-Task")


def _describe(name: str, release: Release) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": int(release.created_at.timestamp()),
        "owned_by": "errata",
        "root": name_model(release.version),
        "parent": name_base(release.base),
    }
