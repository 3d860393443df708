"""The review page: what people report, one question at a time, decided by somebody who did not write it."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import gradio as gr

from assistant.web import chat_view, review_view
from assistant.web.events import read_text, read_texts
from assistant.web.roles import requires
from assistant.web.sign_in import SignIn
from feedback_db import conversations, corrections, examples, golden, people, review_queue
from feedback_db.audit import Audit
from feedback_db.database import Database, Transaction
from feedback_db.errors import FeedbackError, NotFoundError, VariantExistsError
from feedback_db.records import Correction, CorrectionId, CorrectionState, Decision, Person, Role, Turn
from feedback_db.review_queue import OpenReport, QuestionKey, QueueItem
from feedback_db.text_checks import list_links
from feedback_db.training_records import ExampleId, GoldenId, Related, Split

_HERE = Path(__file__).parent
_STATES = ("Waiting", "Approved", "Rejected", "Examples", "Golden set")
_WAITING, _APPROVED, _REJECTED, _EXAMPLES, _GOLDEN = _STATES
_MOST_WORDINGS = 20
_ALONE = (
    "You are the only one who may review. Nobody decides on what they wrote themselves, so your own corrections wait for a second person: "
    "four eyes keep wrong and hostile answers out of the model. To add one: python app.py create-user NAME --role reviewer."
)
_KEYS = {
    "A": "approve",
    "R": "reject",
    "E": "edit the reply",
    "S": "skip",
    "J K": "next, previous",
    "U": "undo, for a minute",
    "Esc": "leave a field",
    "?": "these keys",
}
_Shown = dict[Any, Any]  # what changes on the page: component → its value


class ReviewAids(Protocol):
    """Tells a reviewer what else is known; the trainer does, which knows how support replies are worded."""

    def list_related(self, question: str, wrong_reply: str, right_reply: str) -> Sequence[Related]:
        """Return what else has to do with a reply, the most serious first."""

    def list_wordings(self, question: str) -> Sequence[str]:
        """Return how others have asked nearly the same in conversations that may be learned from."""

    def assign_split(self, example_id: str, wording: str) -> Split:
        """Say what a wording of an example's question is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """An item of the queue as a reviewer has it before him; `chosen` is the proposal that he looks at, None where it was only disliked."""

    item: QueueItem
    context: list[Turn]
    reports: list[OpenReport]
    proposals: list[Correction]
    chosen: Correction | None

    @property
    def turn(self) -> Turn:
        """Return the turn whose reply is reported."""
        return self.context[-1]


class ReviewPage:
    """Builds the page and answers what reviewers do on it."""

    def __init__(
        self,
        db: Database,
        audit: Audit,
        sign_in: SignIn,
        aids: ReviewAids,
        *,
        read_version: Callable[[], int | None],
        approvals_required: int,
        mounts: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self.sign_in, self.clock = sign_in, clock
        self._db, self._audit, self._aids = db, audit, aids
        self._read_version, self._approvals_required, self._mounts = read_version, approvals_required, tuple(mounts)

    def build(self) -> gr.Blocks:
        """Return the page, with a role on each of its functions."""
        page = gr.Blocks(title="Review", analytics_enabled=False, fill_height=True)
        with page:
            self._header = gr.HTML(elem_id="header")
            with gr.Row(elem_id="layout"):
                with gr.Column(elem_id="side", scale=0, min_width=0):
                    self._state = gr.Radio(_STATES, value=_WAITING, label="Show", show_label=False, container=False, elem_id="state")
                    self._search = gr.Textbox(
                        label="Search", show_label=False, placeholder="Search", elem_id="search", max_lines=1, visible=False
                    )
                    self._queue = gr.HTML(elem_id="queue", js_on_load=_read("review_list.js"))
                with gr.Column(elem_id="main"):
                    with gr.Column(elem_id="content"):
                        self._notice = gr.HTML(elem_id="notice")
                        self._item = gr.HTML(elem_id="item", js_on_load=_read("review_item.js"))
                        self._badges = gr.HTML(elem_id="badges")
                        self._build_decision()
                        self._build_golden()
                    with gr.Row(elem_id="buttons", visible=False) as self._buttons:
                        self._approve = gr.Button("Approve (A)", variant="primary", elem_id="approve")
                        self._reject = gr.Button("Reject (R)", variant="stop", elem_id="reject")
                        self._skip = gr.Button("Skip (S)", elem_id="skip")
                    with gr.Row(elem_id="below"):
                        self._undo = gr.Button("Undo the last decision (U)", elem_id="undo", size="sm")
                        gr.HTML(review_view.render_keys(_KEYS), js_on_load=_read("review.js"))
            self._key = gr.Textbox(visible="hidden", elem_id="key")
            self._chosen = gr.Textbox(visible="hidden", elem_id="chosen")
            self._marked = gr.Textbox(visible="hidden", elem_id="marked")
            self._listen(page)
        return page

    def _build_decision(self) -> None:
        with gr.Column(elem_id="decide", visible=False) as self._decide:
            self._difference = gr.HTML(elem_id="difference", js_on_load=_read("difference.js"))
            self._reply = gr.Textbox(label="What shall be learned", lines=4, max_lines=12, elem_id="reply")
            self._related = gr.HTML(elem_id="related", js_on_load=_read("related.js"))
            self._wordings = gr.Textbox(label="Other wordings of the question, one a line", lines=2, max_lines=8, elem_id="wordings")
            self._note = gr.Textbox(label="Why, if you reject it", max_lines=1, elem_id="note")

    def _build_golden(self) -> None:
        with gr.Column(elem_id="golden", visible=False) as self._golden:
            self._golden_question = gr.Textbox(label="A question whose answer must stay right", elem_id="golden-question")
            self._golden_reply = gr.Textbox(label="Its answer", lines=2, elem_id="golden-reply")
            with gr.Row():
                self._add_golden = gr.Button("Add to the golden set", variant="primary", elem_id="add-golden")

    def _listen(self, page: gr.Blocks) -> None:
        everything = [
            *(self._header, self._state, self._search, self._queue, self._notice, self._item, self._badges, self._decide, self._difference),
            *(self._reply, self._related, self._wordings, self._note, self._golden, self._golden_question, self._golden_reply),
            *(self._key, self._chosen, self._marked, self._buttons, self._approve),
        ]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "outputs": everything}
        told = [self._key, self._chosen, self._reply, self._wordings, self._note, self._marked]
        page.load(self._load, None, **quiet)
        self._state.input(self._list, [self._state, self._search], **quiet)
        self._search.change(self._list, [self._state, self._search], trigger_mode="always_last", **quiet)
        self._queue.open(self._open_named, None, trigger_mode="multiple", **quiet)
        self._queue.retire(self._retire, [self._state, self._search], **quiet)
        self._item.choose(self._choose, self._key, **quiet)
        self._difference.compare(self._compare, [self._key, self._chosen], trigger_mode="always_last", **quiet)
        self._related.mark(self._mark, None, **quiet)
        self._approve.click(self._approve_item, told, **quiet)
        self._reject.click(self._reject_item, told, **quiet)
        self._skip.click(self._skip_item, self._key, **quiet)
        self._undo.click(self._undo_last, None, **quiet)
        self._add_golden.click(self._add_golden_item, [self._golden_question, self._golden_reply], **quiet)

    @requires(Role.REVIEWER)
    def _load(self, person: Person) -> _Shown:
        header = chat_view.render_header("Review", person, path="/review", version=self._read_version(), mounts=self._mounts, side="Queue")
        alone = people.count_reviewers(self._db.read()) < 2
        shown = self._show_next(person)
        return shown | {self._header: header, self._notice: chat_view.render_hint(_ALONE if alone else "")}

    @requires(Role.REVIEWER)
    def _list(self, person: Person, state: str, search: str) -> _Shown:
        return self._show_list(person, state, search or "")

    @requires(Role.REVIEWER)
    def _open_named(self, person: Person, event: gr.EventData) -> _Shown:
        key = QuestionKey(read_text(event, "id"))
        try:
            with self._db.write() as tx:
                review_queue.claim(tx, key, reviewer=person.id, now=self.clock())
            return self._show_item(person, key)
        except FeedbackError as refused:
            return self._complain(refused) | {self._queue: self._render_queue(person, "")}

    @requires(Role.REVIEWER)
    def _choose(self, person: Person, key: str, event: gr.EventData) -> _Shown:
        try:
            return self._show_item(person, QuestionKey(key or ""), chosen=CorrectionId(read_text(event, "id")))
        except FeedbackError as refused:
            return self._complain(refused)

    @requires(Role.REVIEWER)
    def _compare(self, person: Person, key: str, chosen: str, event: gr.EventData) -> _Shown:
        try:
            opened = self._find_opened(person, QuestionKey(key or ""), CorrectionId(chosen or ""))
        except FeedbackError as refused:
            return self._complain(refused)
        reply = read_text(event, "reply")
        return {
            self._difference: review_view.render_difference(opened.turn.reply, reply),
            self._badges: review_view.render_badges(self._list_badges(opened, reply, self._list_related(opened, reply))),
        }

    @requires(Role.REVIEWER)
    def _mark(self, person: Person, event: gr.EventData) -> _Shown:  # noqa: ARG002  the role is what matters
        return {self._marked: "\n".join(read_texts(event, "ids"))}

    @requires(Role.REVIEWER)
    def _approve_item(self, person: Person, key: str, chosen: str, reply: str, wordings: str, note: str, marked: str) -> _Shown:
        try:
            opened = self._find_opened(person, QuestionKey(key or ""), CorrectionId(chosen or ""))
            with self._db.write() as tx:
                if opened.chosen is None:
                    self._propose(tx, person, opened, reply or "")
                else:
                    self._decide_for_all(tx, person, opened.chosen, Decision.APPROVED, reply, note)
                    self._add_wordings(tx, person, opened.chosen.id, opened.turn.user_message, wordings or "")
                    self._retire_marked(tx, person, marked or "")
        except FeedbackError as refused:
            return self._complain(refused)
        words = "Sent for review: somebody else decides on what you wrote." if opened.chosen is None else ""
        return self._show_next(person) | {self._notice: chat_view.render_hint(words)}

    @requires(Role.REVIEWER)
    def _reject_item(self, person: Person, key: str, chosen: str, reply: str, wordings: str, note: str, marked: str) -> _Shown:  # noqa: ARG002
        try:
            opened = self._find_opened(person, QuestionKey(key or ""), CorrectionId(chosen or ""))
            with self._db.write() as tx:
                if opened.chosen is None:
                    count = review_queue.dismiss(tx, opened.item.question_key, reviewer=person.id, now=self.clock())
                    self._record(tx, person, "dismiss", opened.item.question_key, {"reports": count})
                else:
                    self._decide_for_all(tx, person, opened.chosen, Decision.REJECTED, None, note)
        except FeedbackError as refused:
            return self._complain(refused)
        return self._show_next(person)

    @requires(Role.REVIEWER)
    def _skip_item(self, person: Person, key: str) -> _Shown:
        if key:
            with self._db.write() as tx:
                review_queue.skip(tx, QuestionKey(key), reviewer=person.id, now=self.clock())
        return self._show_next(person)

    @requires(Role.REVIEWER)
    def _undo_last(self, person: Person) -> _Shown:
        try:
            with self._db.write() as tx:
                key = self._take_back(tx, person)
                if key is None:
                    return {self._notice: chat_view.render_hint("Nothing to undo: a decision can be taken back for a minute.")}
                review_queue.claim(tx, key, reviewer=person.id, now=self.clock())
        except FeedbackError as refused:
            return self._complain(refused)
        return self._show_item(person, key) | {self._state: _WAITING}

    def _take_back(self, tx: Transaction, person: Person) -> QuestionKey | None:
        """Take the last decision back, or the last dismissal where that came later; return what it was about, None for neither."""
        now = self.clock()
        last = corrections.list_last_decision(tx, reviewer=person.id, now=now)
        dismissed = review_queue.find_last_dismissal(tx, reviewer=person.id, now=now)
        if dismissed is not None and (not last or last[0].created_at <= dismissed.dismissed_at):
            review_queue.restore(tx, dismissed.id, now=now)
            self._record(tx, person, "restore", dismissed.question_key, {})
            return dismissed.question_key
        for review in last:
            corrections.withdraw_review(tx, review.id, reviewer=person.id, now=now)
            self._record(tx, person, "withdraw_review", review.correction_id, {})
        return review_queue.find_key(tx, corrections.find_correction(tx, last[0].correction_id).turn_id) if last else None

    @requires(Role.REVIEWER)
    def _retire(self, person: Person, state: str, search: str, event: gr.EventData) -> _Shown:
        name = read_text(event, "id")
        try:
            with self._db.write() as tx:
                if state == _EXAMPLES:
                    self._retire_marked(tx, person, f"example {name}")
                elif state == _GOLDEN:
                    self._retire_marked(tx, person, f"golden {name}")
        except FeedbackError as refused:
            return self._complain(refused)
        return self._show_list(person, state, search or "")

    @requires(Role.REVIEWER)
    def _add_golden_item(self, person: Person, question: str, reply: str) -> _Shown:
        try:
            with self._db.write() as tx:
                added = golden.add_golden(tx, question=question or "", reply=reply or "", added_by=person.id, now=self.clock())
                self._record(tx, person, "add_golden", str(added.id), {})
        except FeedbackError as refused:
            return self._complain(refused)
        return self._show_list(person, _GOLDEN, "") | {self._golden_question: "", self._golden_reply: ""}

    def _propose(self, tx: Transaction, person: Person, opened: _Opened, reply: str) -> None:
        """Turn what was only disliked into a correction of one's own, for somebody else to decide."""
        if reply.strip() == opened.turn.reply.strip():
            raise NotFoundError("a reply other than the reported one", "it")
        added = corrections.add_correction(
            tx,
            CorrectionId(uuid.uuid4().hex),
            turn_id=opened.turn.id,
            corrected_reply=reply,
            author=person.id,
            now=self.clock(),
        )
        review_queue.settle(tx, opened.item.question_key, reviewer=person.id)
        self._record(tx, person, "propose", added.id, {})

    def _decide_for_all(
        self, tx: Transaction, person: Person, chosen: Correction, decision: Decision, reply: str | None, note: str | None
    ) -> None:
        reviews = review_queue.decide(
            tx,
            chosen.id,
            decision,
            reviewer=person.id,
            final_reply=reply,
            note=note or "",
            approvals_required=self._approvals_required,
            now=self.clock(),
        )
        for review in reviews:
            self._record(tx, person, "review", review.correction_id, {"decision": decision.value})

    def _add_wordings(self, tx: Transaction, person: Person, correction_id: CorrectionId, asked: str, wordings: str) -> None:
        known = {asked.casefold()}
        for wording in wordings.splitlines()[:_MOST_WORDINGS]:
            if not wording.strip() or wording.strip().casefold() in known:
                continue
            known.add(wording.strip().casefold())
            split = self._aids.assign_split(correction_id, wording.strip())
            try:
                examples.add_variant(tx, correction_id, text=wording, split=split, added_by=person.id, now=self.clock())
            except VariantExistsError:
                continue

    def _retire_marked(self, tx: Transaction, person: Person, marked: str) -> None:
        for name in marked.splitlines():
            kind, _, one = name.partition(" ")
            if kind == "example":
                examples.retire_by_person(tx, ExampleId(one), person_id=person.id, now=self.clock())
            elif kind == "golden" and one.isdecimal():
                golden.retire_golden(tx, GoldenId(int(one)), now=self.clock())
            else:
                continue
            self._record(tx, person, f"retire_{kind}", one, {})

    def _record(self, tx: Transaction, person: Person, action: str, subject: str, details: dict[str, Any]) -> None:
        self._audit.append(tx, actor=person.id, action=action, subject=subject, details=details, now=self.clock())

    def _find_opened(self, person: Person, key: QuestionKey, chosen: CorrectionId | None) -> _Opened:
        """Return an item that a reviewer has taken; he has it for some minutes more.

        Raises:
            NotFoundError, ItemTakenError: he has it no longer: it was decided, or somebody else has taken it when his minutes were over.
        """
        with self._db.write() as tx:
            review_queue.claim(tx, key, reviewer=person.id, now=self.clock())
        reader = self._db.read()
        item = review_queue.find_item(reader, key)
        reports = review_queue.list_reports(reader, key)
        mine = [one for one in reports if one.person_id != person.id]
        proposals = [corrections.find_correction(reader, one.correction_id) for one in mine if one.correction_id is not None]
        distinct = list({one.corrected_reply: one for one in reversed(proposals)}.values())[::-1]
        picked = next((one for one in proposals if one.id == chosen), distinct[0] if distinct else None)
        turn_id = picked.turn_id if picked is not None else mine[0].turn_id
        context = conversations.list_context(reader, turn_id)
        return _Opened(item=item, context=context, reports=mine, proposals=distinct, chosen=picked)

    def _show_next(self, person: Person) -> _Shown:
        """Take the most useful item and show it, and what waits beside it."""
        with self._db.write() as tx:
            review_queue.release_claims(tx, reviewer=person.id)
            found = review_queue.claim_next(tx, reviewer=person.id, now=self.clock())
        return self._show_item(person, None if found is None else found.question_key)

    def _show_item(self, person: Person, key: QuestionKey | None, chosen: CorrectionId | None = None) -> _Shown:
        now = self.clock()
        shown: _Shown = {
            self._queue: self._render_queue(person, key or ""),
            self._search: gr.update(visible=False, value=""),
            self._golden: gr.update(visible=False),
            self._decide: gr.update(visible=key is not None),
            self._buttons: gr.update(visible=key is not None),
            self._notice: "",
            self._key: key or "",
            self._note: "",
            self._marked: "",
        }
        if key is None:
            return shown | {self._item: review_view.render_nothing(), self._badges: "", self._chosen: ""}
        opened = self._find_opened(person, key, chosen)
        reply = opened.turn.reply if opened.chosen is None else opened.chosen.corrected_reply
        related = self._list_related(opened, reply)
        wordings = self._aids.list_wordings(opened.turn.user_message) if len(opened.context) == 1 else []
        chosen_id = None if opened.chosen is None else opened.chosen.id
        return shown | {
            self._item: review_view.render_item(
                opened.item, opened.context, opened.reports, opened.proposals, chosen=chosen_id, opened_at=now
            ),
            self._badges: review_view.render_badges(self._list_badges(opened, reply, related)),
            self._chosen: chosen_id or "",
            self._reply: reply,
            self._difference: review_view.render_difference(opened.turn.reply, reply),
            self._related: review_view.render_related(related, marked=set()),
            self._wordings: "\n".join(wordings),
            self._approve: gr.update(value="Approve (A)" if opened.chosen is not None else "Send for review (A)"),
        }

    def _list_related(self, opened: _Opened, reply: str) -> Sequence[Related]:
        if opened.chosen is None:
            return []
        return self._aids.list_related(opened.turn.user_message, opened.turn.reply, reply)

    def _list_badges(self, opened: _Opened, reply: str, related: Sequence[Related]) -> list[review_view.Badge]:
        reader = self._db.read()
        record = None if opened.chosen is None else corrections.read_author_record(reader, opened.chosen.author_id)
        consent = conversations.has_consent(reader, opened.turn.conversation_id)
        return review_view.list_badges(
            [opened.turn.user_message, reply],
            record,
            related,
            links=sorted(list_links(reply) - list_links(opened.turn.reply)),
            has_consent=consent,
        )

    def _show_list(self, person: Person, state: str, search: str) -> _Shown:
        """Show the queue and its next item, or one of the lists of what was decided."""
        if state not in _STATES or state == _WAITING:
            return self._show_next(person)
        with self._db.write() as tx:
            review_queue.release_claims(tx, reviewer=person.id)
        return {
            self._search: gr.update(visible=state in {_EXAMPLES, _GOLDEN}),
            self._queue: self._render_list(state, search),
            self._item: "",
            self._badges: "",
            self._decide: gr.update(visible=False),
            self._buttons: gr.update(visible=False),
            self._golden: gr.update(visible=state == _GOLDEN),
            self._key: "",
            self._notice: "",
        }

    def _render_list(self, state: str, search: str) -> str:
        reader = self._db.read()
        if state == _EXAMPLES:
            return review_view.render_examples(examples.search_examples(reader, search))
        if state == _GOLDEN:
            return review_view.render_golden(golden.search_golden(reader, search))
        decided = CorrectionState.APPROVED if state == _APPROVED else CorrectionState.REJECTED
        return review_view.render_decided(corrections.list_decided(reader, decided))

    def _render_queue(self, person: Person, shown: str) -> str:
        now = self.clock()
        return review_view.render_queue(review_queue.list_items(self._db.read(), reviewer=person.id, now=now), shown=shown, now=now)

    def _complain(self, refused: FeedbackError) -> _Shown:
        return {self._notice: chat_view.render_notice(str(refused))}


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
