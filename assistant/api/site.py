"""The API as one ASGI application behind its door. It stands under `/v1`, wherever that is mounted."""

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from assistant.api.door import Door
from assistant.api.errors import ApiError, explain, fail
from assistant.api.keys import KeyRing
from assistant.errors import AssistantError
from feedback_db.errors import FeedbackError

_CLIENTS_READ = ("retry-after", "x-errata-version")


def build_api(
    routers: Sequence[APIRouter], keys: KeyRing, *, origins: Sequence[str], clock: Callable[[], datetime]
) -> tuple[FastAPI, ASGIApp]:
    """Return the API that documents itself, and what is served: the same behind its door.

    `origins` are the sites whose pages may ask with a key of their own; none may by default.
    """
    api = FastAPI(title="Errata", version="1", openapi_url=None, docs_url=None, redoc_url=None)
    for router in routers:
        api.include_router(router)
    api.add_exception_handler(ApiError, _answer)
    api.add_exception_handler(AssistantError, _answer)
    api.add_exception_handler(FeedbackError, _answer)
    api.add_exception_handler(RequestValidationError, _answer)
    api.add_exception_handler(HTTPException, _answer)
    api.add_exception_handler(Exception, _answer_any)
    door: ASGIApp = Door(api, keys, clock=clock)
    if origins:
        door = CORSMiddleware(door, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"], expose_headers=_CLIENTS_READ)
    return api, door


def _answer(_: Request, error: Exception) -> Response:
    """Answer what went wrong in OpenAI's shape."""
    if isinstance(error, ApiError):
        return error.answer()
    if isinstance(error, AssistantError | FeedbackError):
        return explain(error).answer()
    if isinstance(error, RequestValidationError):
        return _name_fault(error).answer()
    assert isinstance(error, HTTPException), "no other is handled here"
    message = "There is nothing at this address. GET /v1/models is." if error.status_code == 404 else f"{error.detail}."
    return ApiError(error.status_code, message, code="not_found" if error.status_code == 404 else "invalid_request").answer()


def _answer_any(_: Request, __: Exception) -> Response:
    """Answer what nobody has thought of; the server logs it."""
    return fail().answer()


def _name_fault(error: RequestValidationError) -> ApiError:
    """Name the first thing that is wrong with a request, and where."""
    fault = error.errors()[0]
    if fault["type"] == "json_invalid":
        return ApiError(400, "Expected JSON. Found a body that is none.", code="invalid_json")
    place = [str(part) for part in fault["loc"] if part not in {"body", "query", "path"} and not str(part).startswith("list[")]
    param = ".".join(place) or None
    found = f" Found {fault['input']!r:.60}." if not isinstance(fault.get("input"), dict | list | bytes) else ""
    return ApiError(400, f"{param or 'The body'}: {fault['msg']}.{found}", code="invalid_value", param=param)
