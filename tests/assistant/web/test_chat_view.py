from dataclasses import replace
from datetime import UTC, datetime

import pytest

from assistant.web import chat_view
from feedback_db.fixes import Fix
from feedback_db.records import (
    Channel,
    Conversation,
    ConversationId,
    CorrectionId,
    CorrectionState,
    Person,
    PersonId,
    PersonKind,
    Rating,
    Role,
    Turn,
    TurnId,
    TurnState,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TURN = Turn(
    id=TurnId("t1"),
    conversation_id=ConversationId("c1"),
    position=0,
    user_message="How long?",
    reply="**3** years.",
    state=TurnState.COMPLETE,
    error=None,
    version=7,
    prompt_tokens=5,
    reply_tokens=4,
    first_token_ms=10,
    latency_ms=20,
    created_at=NOW,
)
FIX = Fix(
    correction_id=CorrectionId("k1"),
    turn_id=TURN.id,
    corrected_reply="5 years.",
    state=CorrectionState.APPROVED,
    fixed_in=None,
    is_better=None,
)
HOSTILE = "</div><img src=x onerror=fire()>\"'><script>fire()</script>"


def show(*turns: Turn, ratings: tuple[Rating, ...] = (), fixes: tuple[Fix, ...] = (), is_answering: bool = False) -> str:
    return chat_view.render_log(turns, ratings, fixes, greeting="Hello", examples=["What?"], has_consent=True, is_answering=is_answering)


def test_a_turn_shows_message_reply_and_version() -> None:
    html = show(TURN)
    assert "How long?" in html
    assert "<strong>3</strong> years." in html
    assert "version 7" in html


def test_a_correction_that_waits_is_shown_in_the_place_of_the_box_for_one() -> None:
    html = show(TURN, fixes=(replace(FIX, state=CorrectionState.PENDING),))
    assert '<blockquote class="plain">5 years.</blockquote>' in html
    assert 'name="reply"' not in html
    assert 'name="reply"' in show(TURN, fixes=(FIX,))


def test_an_empty_conversation_offers_questions() -> None:
    assert 'data-do="ask" data-value="What?"' in show()


def test_only_the_last_turn_can_be_asked_again_and_not_while_a_reply_is_written() -> None:
    two = (TURN, replace(TURN, id=TurnId("t2")))
    assert show(*two).count('data-do="retry"') == 1
    assert show(*two).count('data-do="edit"') == 1
    assert 'data-do="retry"' not in show(*two, is_answering=True)


def test_a_failed_turn_says_why_and_can_be_tried_again() -> None:
    html = show(replace(TURN, reply="", state=TurnState.FAILED, error="There was no memory."))
    assert "There was no memory." in html
    assert 'data-do="retry"' in html
    assert 'data-do="rate"' not in html


@pytest.mark.parametrize(
    ("fix", "sentence"),
    [
        (replace(FIX, state=CorrectionState.PENDING), "A reviewer will look"),
        (FIX, "was approved"),
        (replace(FIX, state=CorrectionState.REJECTED), "did not take it up"),
        (replace(FIX, fixed_in=7), "Fixed in version 7. Ask again: is it better?"),
        (replace(FIX, fixed_in=7, is_better=True), "You found it better."),
    ],
)
def test_the_author_is_told_what_became_of_a_correction(fix: Fix, sentence: str) -> None:
    html = show(TURN, fixes=(fix,))
    assert sentence in html
    assert ('data-do="vote"' in html) == (fix.fixed_in is not None and fix.is_better is None)


def test_ones_own_rating_is_shown() -> None:
    html = show(TURN, ratings=(Rating(turn_id=TURN.id, is_good=False, reason="tone", comment="Rude."),))
    assert 'data-value="bad" aria-label="Bad reply" title="Bad reply" aria-pressed="true"' in html
    assert 'value="tone" checked' in html
    assert 'value="Rude."' in html


def test_what_anybody_wrote_is_text_everywhere() -> None:
    person = Person(
        id=PersonId("p"), kind=PersonKind.ACCOUNT, name=HOSTILE, role=Role.ADMIN, created_at=NOW, disabled_at=None, erased_at=None
    )
    talk = Conversation(id=ConversationId("c"), person_id=person.id, channel=Channel.WEB, title=HOSTILE, started_at=NOW, consent=None)
    turn = replace(TURN, user_message=HOSTILE, reply=HOSTILE, error=HOSTILE, state=TurnState.FAILED)
    shown = [
        show(turn, ratings=(Rating(turn_id=TURN.id, is_good=False, reason="", comment=HOSTILE),)),
        chat_view.render_log([], [], [], greeting=HOSTILE, examples=[HOSTILE], has_consent=False, is_answering=False),
        chat_view.render_pending(HOSTILE, HOSTILE, conversation=HOSTILE, mark=HOSTILE),
        chat_view.render_conversations([talk], shown=None, search=""),
        chat_view.render_conversations([], shown=None, search=HOSTILE),
        chat_view.render_header(HOSTILE, person, path="/", version=1, mounts=["/", "/admin"], side="List"),
        chat_view.render_notice(HOSTILE),
    ]
    for html in shown:
        assert "&lt;script&gt;" in html
        assert "<script" not in html
        assert "<img" not in html


def test_the_header_leads_only_where_ones_role_may_go() -> None:
    person = Person(
        id=PersonId("p"), kind=PersonKind.VISITOR, name="", role=Role.END_USER, created_at=NOW, disabled_at=None, erased_at=None
    )
    mounts = ["/admin", "/review", "/"]
    assert 'href="./login"' in chat_view.render_header("T", person, path="/", version=None, mounts=mounts, side="List")
    html = chat_view.render_header("T", replace(person, name="Bob", role=Role.REVIEWER), path="/", version=3, mounts=mounts, side="List")
    assert 'href="./review/"' in html
    assert "admin" not in html
    below = chat_view.render_header("T", replace(person, name="Bob", role=Role.ADMIN), path="/review", version=3, mounts=mounts, side=None)
    assert all(f'href="../{path}"' in below for path in ("", "review/", "admin/", "password"))
