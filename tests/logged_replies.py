"""Replies as the log keeps them, for tests that care for what was said and for nothing else."""

from feedback_db.conversations import LoggedReply
from feedback_db.records import TurnState


def make_logged_reply(question: str, reply: str, *, version: int = 0) -> LoggedReply:
    """Return a whole reply to a question."""
    return LoggedReply(
        user_message=question,
        reply=reply,
        state=TurnState.COMPLETE,
        error=None,
        version=version,
        sampling={},
        prompt_tokens=1,
        reply_tokens=1,
        first_token_ms=1,
        latency_ms=1,
    )
