from datetime import UTC, datetime

from assistant.web.review_view import tell_context
from feedback_db.records import ConversationId, Turn, TurnId, TurnState


def make_turn(message: str, reply: str, *, history: tuple[tuple[str, str], ...] | None = None, system: str | None = None) -> Turn:
    return Turn(
        id=TurnId("t"),
        conversation_id=ConversationId("c"),
        position=0,
        user_message=message,
        reply=reply,
        state=TurnState.COMPLETE,
        error=None,
        version=3,
        prompt_tokens=1,
        reply_tokens=1,
        first_token_ms=1,
        latency_ms=1,
        created_at=datetime(2026, 11, 27, tzinfo=UTC),
        told_history=history,
        told_system=system,
    )


def test_what_a_program_told_comes_first_and_has_no_version() -> None:
    told = tell_context([make_turn("and then?", "Then.", history=(("hi", "Hello."),), system="Be brief.")])
    assert [(one["message"], one["version"], one["system"]) for one in told] == [("hi", None, None), ("and then?", 3, "Be brief.")]


def test_what_a_program_told_is_no_markup() -> None:
    (told, _) = tell_context([make_turn("x", "y", history=(("<b>q</b>", "<script>alert(1)</script>"),))])
    assert "<script>" not in str(told["html"])
