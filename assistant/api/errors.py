"""What the API answers where it cannot do what it should: OpenAI's shape, a status that clients know, and the sentence of the error."""

from collections.abc import Mapping
from datetime import timedelta

from starlette.responses import JSONResponse

from assistant.errors import (
    AssistantClosedError,
    AssistantError,
    ContextFullError,
    NoMemoryError,
    NothingServedError,
    QueueFullError,
    ReleaseRefusedError,
    SamplingError,
    TemplateRefusedError,
)
from assistant.plain_text import mend_surrogates
from feedback_db.errors import (
    AlreadyCorrectedError,
    ClientKeyReusedError,
    DiskFullError,
    EmptyTextError,
    FeedbackError,
    HostileTextError,
    NotFoundError,
    NothingToRollBackError,
    ReasonNeededError,
    RecipeError,
    TextTooLongError,
)

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_NO_ROOM = "Expected room on Errata's disk. Found none. An admin must make some."
_TRY_AGAIN = timedelta(seconds=2)
_STATUSES: tuple[tuple[int, str, tuple[type[Exception], ...]], ...] = (
    (400, "context_length_exceeded", (ContextFullError,)),
    (
        400,
        "invalid_value",
        (
            SamplingError,
            TemplateRefusedError,
            EmptyTextError,
            TextTooLongError,
            HostileTextError,
            RecipeError,
            ReasonNeededError,
        ),
    ),
    (404, "not_found", (NotFoundError,)),
    (
        409,
        "conflict",
        (
            AlreadyCorrectedError,
            ClientKeyReusedError,
            NothingToRollBackError,
            ReleaseRefusedError,
        ),
    ),
    (429, "queue_full", (QueueFullError,)),
    (503, "unavailable", (NothingServedError, AssistantClosedError, NoMemoryError, DiskFullError)),
)


class ApiError(Exception):
    """A request that cannot be done; `param` names what of it is wrong, `code` why, for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.headers = status, message, code, param, dict(headers or {})

    def describe(self) -> dict[str, dict[str, str | None]]:
        """Return it in OpenAI's shape."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": mend_surrogates(self.message), "type": kind, "param": self.param, "code": self.code}}

    def answer(self) -> JSONResponse:
        """Return what is answered."""
        return JSONResponse(self.describe(), self.status, self.headers)


def fail() -> ApiError:
    """Return what is answered where something went wrong that nobody has thought of; the log has it."""
    return ApiError(500, "Errata failed at this. Its log says why.", code="internal")


def explain(error: AssistantError | FeedbackError) -> ApiError:
    """Return what a named error is for a program."""
    for status, code, kinds in _STATUSES:
        if isinstance(error, kinds):
            wait_s = error.wait_s if isinstance(error, QueueFullError) else round(_TRY_AGAIN.total_seconds())
            told = _NO_ROOM if isinstance(error, DiskFullError) else str(error)  # where the disk is full is no business of a program's
            headers = {"retry-after": str(wait_s)} if status in {429, 503} else {}
            return ApiError(status, told, code=code, param="messages" if isinstance(error, ContextFullError) else None, headers=headers)
    return ApiError(500, str(error), code="failed")
