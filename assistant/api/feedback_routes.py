"""`/v1/feedback`, as TensorZero's clients send it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Request

from assistant.api.feedback import ApiFeedback, FeedbackRequest


def list_feedback_routes(feedback: ApiFeedback, *, clock: Callable[[], datetime]) -> APIRouter:
    """Return the route of feedback."""
    router = APIRouter(tags=["feedback"])

    @router.post("/feedback")
    def give_feedback(request: Request, body: FeedbackRequest, idempotency_key: Annotated[str | None, Header()] = None) -> dict[str, str]:
        """Rate a reply, comment on it, or say what it should have been; `Idempotency-Key` lets a retry count once."""
        return {"feedback_id": feedback.note(request.state.key, body, client_key=idempotency_key, now=clock())}

    return router
