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
    SettingsError,
    TemplateRefusedError,
)
from feedback_db.errors import (
    AlreadyCorrectedError,
    AlreadyHandledError,
    ClientKeyReusedError,
    DiskFullError,
    EmptyTextError,
    FeedbackError,
    HostileTextError,
    KeyNameError,
    NameTakenError,
    NotFoundError,
    NothingToRollBackError,
    RecipeError,
    TextTooLongError,
)

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
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
            SettingsError,
            KeyNameError,
        ),
    ),
    (404, "not_found", (NotFoundError,)),
    (
        409,
        "conflict",
        (
            AlreadyCorrectedError,
            AlreadyHandledError,
            ClientKeyReusedError,
            NameTakenError,
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
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def answer(self) -> JSONResponse:
        """Return what is answered."""
        return JSONResponse(self.describe(), self.status, self.headers)


def explain(error: AssistantError | FeedbackError) -> ApiError:
    """Return what a named error is for a program."""
    for status, code, kinds in _STATUSES:
        if isinstance(error, kinds):
            wait_s = error.wait_s if isinstance(error, QueueFullError) else round(_TRY_AGAIN.total_seconds())
            headers = {"retry-after": str(wait_s)} if status in {429, 503} else {}
            return ApiError(
                status, str(error), code=code, param="messages" if isinstance(error, ContextFullError) else None, headers=headers
            )
    return ApiError(500, str(error), code="failed")
