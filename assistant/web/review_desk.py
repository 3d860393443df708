"""What reviewers decide: each decision is one transaction, and one unit that can be undone with all that came with it. Knows no Gradio."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from assistant.web.review_marks import Marks
from feedback_db import conversations, corrections, decisions, examples, golden, review_queue, unwatched
from feedback_db.audit import Audit
from feedback_db.conversations import LoggedReply
from feedback_db.database import Database, Transaction
from feedback_db.decisions import Deed, Part, PartKind, ReviewerDecision
from feedback_db.errors import ItemChangedError, UnchangedReplyError, VariantExistsError
from feedback_db.records import Channel, ConversationId, Correction, CorrectionId, Decision, Person, Turn, TurnId, TurnState
from feedback_db.review_queue import OpenReport, QuestionKey, QueueItem
from feedback_db.text_checks import check_text
from feedback_db.training_records import ExampleId, GoldenId, OpeningQuestion, Related, Split, Watched

_MOST_WORDINGS = 20
_BY_HAND = "Added by hand on the review page, by a reviewer who agrees that it is trained."


class ReviewAids(Protocol):
    """Tells a reviewer what else is known; the trainer does, which knows how support replies are worded."""

    def list_related(self, question: str, wrong_reply: str, right_reply: str) -> Sequence[Related]:
        """Return what else has to do with a reply, the most serious first."""

    def list_watched(self, question: str, wrong_reply: str, right_reply: str) -> Sequence[Watched]:
        """Return the guard questions whose replies the right one makes wrong."""

    def is_watched(self, key: str) -> bool:
        """Say whether a question of the guard set has this key."""

    def list_wordings(self, question: str) -> Sequence[OpeningQuestion]:
        """Return how others have asked nearly the same in conversations that may be learned from."""

    def assign_split(self, example_id: str, wording: str) -> Split:
        """Say what a wording of an example's question is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An item of the queue as a reviewer has it before him; `chosen` is the proposal that he looks at, None where it was only disliked.

    What most people propose comes first; `support` says of each proposed reply how many do.
    """

    item: QueueItem
    context: list[Turn]
    reports: list[OpenReport]
    proposals: list[Correction]
    support: Mapping[str, int]
    chosen: Correction | None

    @property
    def turn(self) -> Turn:
        """Return the turn whose reply is reported."""
        return self.context[-1]


class ReviewDesk:
    """Opens items of the queue and carries out what is decided on them."""

    def __init__(
        self,
        db: Database,
        audit: Audit,
        aids: ReviewAids,
        *,
        read_version: Callable[[], int | None],
        approvals_required: int,
    ) -> None:
        self._db, self._audit, self._aids = db, audit, aids
        self._read_version, self._approvals_required = read_version, approvals_required

    def open_item(self, person: Person, key: QuestionKey, *, chosen: str = "", now: datetime) -> Opened:
        """Return an item that a reviewer has taken, with a proposal of his choice or the first; he has it for some minutes more.

        Raises:
            NotFoundError, ItemTakenError, ItemLeftError: he has it no longer.
        """
        with self._db.write() as tx:
            review_queue.renew(tx, key, reviewer=person.id, now=now)
        reader = self._db.read()
        item = review_queue.find_item(reader, key)
        reports = review_queue.list_reports(reader, key)
        others = [one for one in reports if one.person_id != person.id]
        proposals = [corrections.find_correction(reader, one.correction_id) for one in others if one.correction_id is not None]
        support = Counter(one.corrected_reply for one in proposals)
        oldest = {one.corrected_reply: one for one in reversed(proposals)}
        distinct = [oldest[reply] for reply, _ in support.most_common()]
        picked = next((one for one in proposals if one.id == chosen), distinct[0] if distinct else None)
        turn_id = picked.turn_id if picked is not None else others[0].turn_id
        context = conversations.list_context(reader, turn_id)
        return Opened(item=item, context=context, reports=others, proposals=distinct, support=support, chosen=picked)

    def find_shown(self, person: Person, key: str, chosen: str, *, now: datetime) -> Opened:
        """Return an item exactly as a reviewer has it on his screen, to decide on it.

        Raises:
            ItemChangedError: the proposal that he looks at is gone, or one has come where there was none.
            NotFoundError, ItemTakenError, ItemLeftError: he has the item no longer.
        """
        opened = self.open_item(person, QuestionKey(key), chosen=chosen, now=now)
        if chosen != ("" if opened.chosen is None else opened.chosen.id):
            raise ItemChangedError
        return opened

    def approve(self, person: Person, opened: Opened, reply: str, *, wordings: str, note: str, marks: Marks, now: datetime) -> None:
        """Approve what is shown, for all who report the same question, with other wordings and with what becomes of what else is known."""
        if opened.chosen is None:
            self._propose(person, opened, reply, now)
            return
        watched = [key for key in dict.fromkeys(marks.unwatched) if self._aids.is_watched(key)]
        with self._db.write() as tx:
            parts = self._review_all(tx, person, opened.chosen, Decision.APPROVED, reply, note, now)
            parts += self._add_wordings(tx, person, opened, wordings, marks.turn_ids, now)
            for known_id in marks.retired:
                parts += self._retire(tx, person, known_id, now)
            for known_id, changed in marks.changed.items():
                parts += self._change(tx, person, known_id, changed, now)
            parts += [self._stop_watching(tx, person, opened.chosen, key, now) for key in watched]
            key = opened.item.question_key
            decisions.record_decision(tx, Deed.APPROVED, parts, reviewer=person.id, question_key=key, now=now)

    def reject(self, person: Person, opened: Opened, *, note: str, now: datetime) -> None:
        """Reject what is shown, for all who propose the same; or say that what was only disliked needs no correction."""
        key = opened.item.question_key
        with self._db.write() as tx:
            if opened.chosen is None:
                deed, parts = Deed.DISMISSED, [self._dismiss(tx, person, key, now)]
            else:
                deed, parts = Deed.REJECTED, self._review_all(tx, person, opened.chosen, Decision.REJECTED, None, note, now)
            decisions.record_decision(tx, deed, parts, reviewer=person.id, question_key=key, now=now)

    def retire(self, person: Person, known_id: ExampleId | GoldenId, *, now: datetime) -> None:
        """Take an example out of training, or an item out of the golden set."""
        with self._db.write() as tx:
            parts = self._retire(tx, person, known_id, now)
            if parts:
                decisions.record_decision(tx, Deed.RETIRED, parts, reviewer=person.id, now=now)

    def add_golden(self, person: Person, *, question: str, reply: str, now: datetime) -> None:
        """Add an item to the golden set."""
        with self._db.write() as tx:
            part = self._add_golden(tx, person, question, reply, now)
            decisions.record_decision(tx, Deed.ADDED, [part], reviewer=person.id, now=now)

    def add_example(self, person: Person, *, question: str, reply: str, now: datetime) -> None:
        """Propose an example by hand: a question that nobody has asked, and its answer, which somebody else decides on as on any other.

        Raises:
            EmptyTextError, TextTooLongError, HostileTextError: question or answer cannot be learned as it is.
        """
        asked = check_text(question, what="a question", max_chars=examples.MAX_VARIANT_CHARS)
        talk_id, turn_id = ConversationId(uuid.uuid4().hex), TurnId(uuid.uuid4().hex)
        unanswered = LoggedReply(
            user_message=asked,
            reply="",
            state=TurnState.COMPLETE,
            error=None,
            version=self._read_version() or 0,
            sampling={},
            prompt_tokens=0,
            reply_tokens=0,
            first_token_ms=None,
            latency_ms=0,
        )
        with self._db.write() as tx:
            conversations.start_conversation(tx, talk_id, person_id=person.id, channel=Channel.WEB, title=asked, now=now)
            conversations.record_consent(tx, talk_id, given=True, wording=_BY_HAND, now=now)
            turn = conversations.log_turn(tx, turn_id, conversation_id=talk_id, logged=unanswered, now=now)
            parts = [self._add_correction(tx, person, turn.id, reply, now), Part(PartKind.CONVERSATION_ADDED, talk_id)]
            key = review_queue.find_key(tx, turn.id)
            decisions.record_decision(tx, Deed.PROPOSED, parts, reviewer=person.id, question_key=key, now=now)

    def undo(self, person: Person, *, now: datetime) -> ReviewerDecision:
        """Undo the last decision with all that came with it.

        Raises:
            NothingToUndoError: there is none of the last minute.
            OvertakenError, ReviewFinalError: a colleague has decided on the same since, or others have gone on from it.
        """
        with self._db.write() as tx:
            undone = decisions.undo_last(tx, reviewer=person.id, now=now)
            subjects = {part.kind.value: part.subject for part in undone.parts}
            self._record(tx, person, "undo", str(undone.id), {"deed": undone.deed.value, **subjects}, now)
        return undone

    def _propose(self, person: Person, opened: Opened, reply: str, now: datetime) -> None:
        """Turn what was only disliked into a correction of one's own, for somebody else to decide."""
        if reply.strip() == opened.turn.reply.strip():
            raise UnchangedReplyError
        key = opened.item.question_key
        with self._db.write() as tx:
            parts = [self._add_correction(tx, person, opened.turn.id, reply, now), self._dismiss(tx, person, key, now)]
            decisions.record_decision(tx, Deed.PROPOSED, parts, reviewer=person.id, question_key=key, now=now)

    def _review_all(
        self, tx: Transaction, person: Person, chosen: Correction, decision: Decision, reply: str | None, note: str, now: datetime
    ) -> list[Part]:
        reviews = review_queue.decide(
            tx,
            chosen.id,
            decision,
            reviewer=person.id,
            final_reply=reply,
            note=note,
            approvals_required=self._approvals_required,
            now=now,
        )
        for review in reviews:
            self._record(tx, person, "review", review.correction_id, {"decision": decision.value}, now)
        return [Part(PartKind.REVIEW, str(review.id)) for review in reviews]

    def _dismiss(self, tx: Transaction, person: Person, key: QuestionKey, now: datetime) -> Part:
        dismissal = review_queue.dismiss(tx, key, reviewer=person.id, now=now)
        self._record(tx, person, "dismiss", key, {}, now)
        return Part(PartKind.DISMISSAL, str(dismissal))

    def _add_correction(self, tx: Transaction, person: Person, turn_id: TurnId, reply: str, now: datetime) -> Part:
        added = corrections.add_correction(
            tx, CorrectionId(uuid.uuid4().hex), turn_id=turn_id, corrected_reply=reply, author=person.id, now=now
        )
        self._record(tx, person, "propose", added.id, {}, now)
        return Part(PartKind.CORRECTION_ADDED, added.id)

    def _add_wordings(
        self, tx: Transaction, person: Person, opened: Opened, wordings: str, turn_ids: Sequence[TurnId], now: datetime
    ) -> list[Part]:
        """Add what others asked as theirs, so that it goes when they erase it, and what the reviewer wrote as his own."""
        assert opened.chosen is not None
        suggested = {one.turn_id: one.text for one in self._aids.list_wordings(opened.turn.user_message)} if turn_ids else {}
        there = conversations.keep_turns(tx, [one for one in turn_ids if one in suggested])
        found: list[tuple[str, TurnId | None]] = [(suggested[one], one) for one in turn_ids if one in there]
        found += [(wording.strip(), None) for wording in wordings.splitlines() if wording.strip()]
        known, parts = {opened.turn.user_message.casefold()}, []
        for text, turn_id in found[:_MOST_WORDINGS]:
            if text.casefold() in known:
                continue
            known.add(text.casefold())
            split, added_by = self._aids.assign_split(opened.chosen.id, text), person.id if turn_id is None else None
            try:
                added = examples.add_variant(tx, opened.chosen.id, text=text, split=split, added_by=added_by, turn_id=turn_id, now=now)
            except VariantExistsError:
                continue
            parts.append(Part(PartKind.WORDING_ADDED, str(added.id)))
        return parts

    def _retire(self, tx: Transaction, person: Person, known_id: ExampleId | GoldenId, now: datetime) -> list[Part]:
        if isinstance(known_id, int):
            kind, is_new = PartKind.GOLDEN_RETIRED, golden.retire_golden(tx, known_id, now=now)
        else:
            kind, is_new = PartKind.EXAMPLE_RETIRED, examples.retire_by_person(tx, known_id, person_id=person.id, now=now)
        if is_new:
            self._record(tx, person, "retire_golden" if isinstance(known_id, int) else "retire_example", str(known_id), {}, now)
        return [Part(kind, str(known_id))] if is_new else []

    def _change(self, tx: Transaction, person: Person, known_id: ExampleId | GoldenId, reply: str, now: datetime) -> list[Part]:
        """Retire what is known and put another reply in its place: a golden item at once, an example when somebody else approves it."""
        retired = self._retire(tx, person, known_id, now)
        if isinstance(known_id, int):
            return [*retired, self._add_golden(tx, person, golden.find_golden(tx, known_id).question, reply, now)]
        return [*retired, self._add_correction(tx, person, examples.find_example(tx, known_id).turn_id, reply, now)]

    def _stop_watching(self, tx: Transaction, person: Person, chosen: Correction, key: str, now: datetime) -> Part:
        stopped = unwatched.stop_watching(tx, key, correction_id=chosen.id, person_id=person.id, now=now)
        self._record(tx, person, "stop_watching", key, {"correction": chosen.id}, now)
        return Part(PartKind.QUESTION_UNWATCHED, str(stopped))

    def _add_golden(self, tx: Transaction, person: Person, question: str, reply: str, now: datetime) -> Part:
        added = golden.add_golden(tx, question=question, reply=reply, added_by=person.id, now=now)
        self._record(tx, person, "add_golden", str(added.id), {}, now)
        return Part(PartKind.GOLDEN_ADDED, str(added.id))

    def _record(self, tx: Transaction, person: Person, action: str, subject: str, details: dict[str, Any], now: datetime) -> None:
        self._audit.append(tx, actor=person.id, action=action, subject=subject, details=details, now=now)
