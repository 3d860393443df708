"""What somebody says of replies to them: ratings, corrections, whether a fix is better. Knows no page."""

import uuid
from datetime import datetime

from assistant.engine.live import LiveAssistant
from assistant.web.chat_view import REASONS
from feedback_db import conversations, corrections, fixes
from feedback_db.database import Database
from feedback_db.errors import NotFoundError
from feedback_db.records import ConversationId, CorrectionId, PersonId, TurnId

CONSENT = "Errata may learn from this conversation"  # the wording that a consent is recorded with
_NOTED = "Thank you. What you say of this reply is noted."
_NOTHING_SAID = "Nothing was changed in the reply, and nothing chosen that is wrong with it, so nothing was noted."


class Feedback:
    """Records what a person says of turns in a conversation that is known to be theirs."""

    def __init__(self, db: Database, live: LiveAssistant) -> None:
        self._db, self._live = db, live

    def rate(self, conversation_id: ConversationId, turn: str, value: str, *, person_id: PersonId, now: datetime) -> None:
        """Rate a turn as good or bad; any other value takes the rating back.

        Raises:
            NotFoundError: the turn is of another conversation.
        """
        turn_id = self._find_turn(conversation_id, turn, person_id)[0]
        with self._db.write() as tx:
            if value in {"good", "bad"}:
                conversations.rate(tx, turn_id, person_id=person_id, is_good=value == "good", reason="", comment="", now=now)
            else:
                conversations.withdraw_rating(tx, turn_id, person_id=person_id, now=now)

    def correct(
        self,
        conversation_id: ConversationId,
        turn: str,
        *,
        reply: str,
        reason: str,
        comment: str,
        consents: bool,
        person_id: PersonId,
        now: datetime,
    ) -> str:
        """Record what is wrong with a reply, and what it should have been where that differs; return what to answer, "" for a correction.

        Raises:
            NotFoundError: the turn is of another conversation.
            AlreadyCorrectedError, EmptyTextError, TextTooLongError, HostileTextError: see `corrections.add_correction`.
        """
        turn_id, replied = self._find_turn(conversation_id, turn, person_id)
        reason = reason if reason in REASONS else ""
        is_changed = reply.strip() != replied.strip()
        is_rated = bool(reason or comment.strip() or is_changed)
        with self._db.write() as tx:
            if consents:
                conversations.record_consent(tx, conversation_id, given=True, wording=CONSENT, now=now)
            if is_rated:
                conversations.rate(tx, turn_id, person_id=person_id, is_good=False, reason=reason, comment=comment, now=now)
            if is_changed:
                correction_id = CorrectionId(uuid.uuid4().hex)
                corrections.add_correction(tx, correction_id, turn_id=turn_id, corrected_reply=reply, author=person_id, now=now)
        return "" if is_changed else _NOTED if is_rated else _NOTHING_SAID

    def vote(self, conversation_id: ConversationId, correction: str, *, is_better: bool, person_id: PersonId, now: datetime) -> None:
        """Record whether a correction that went live has made the answer better.

        Raises:
            NotFoundError: there is no such correction, or it is not live.
        """
        told = fixes.list_fixes(self._db.read(), conversation_id, author=person_id, served=self._live.status().version)
        found = next((fix for fix in told if fix.correction_id == correction and fix.fixed_in is not None), None)
        if found is None or found.fixed_in is None:
            raise NotFoundError("a correction that went live", correction)
        with self._db.write() as tx:
            fixes.vote(tx, found.correction_id, author=person_id, version=found.fixed_in, is_better=is_better, now=now)

    def _find_turn(self, conversation_id: ConversationId, turn: str, person_id: PersonId) -> tuple[TurnId, str]:
        found = conversations.find_turn(self._db.read(), TurnId(turn), owner=person_id)
        if found.conversation_id != conversation_id:
            raise NotFoundError("a turn", turn)
        return found.id, found.reply
