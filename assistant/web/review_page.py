"""The review page: what people report, one question at a time, decided by somebody who did not write it; and what was decided so far.

It shows and it listens; what a decision does is the desk's (`review_desk`).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import gradio as gr

from assistant.web import chat_view, review_lists, review_view
from assistant.web.events import read_text
from assistant.web.review_desk import Opened, ReviewAids, ReviewDesk
from assistant.web.review_drafts import Draft, Drafts
from assistant.web.review_layout import ReviewLayout
from assistant.web.review_lists import ListName
from assistant.web.review_marks import READ_MARKS, read_marks, read_name
from assistant.web.roles import requires
from assistant.web.sign_in import SignIn
from feedback_db import conversations, corrections, decisions, people, review_queue
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import FeedbackError, ItemChangedError, NotFoundError
from feedback_db.records import CorrectionId, Person, Role
from feedback_db.review_queue import QuestionKey
from feedback_db.text_checks import list_links
from feedback_db.training_records import Related, Watched

_TICK_S = 5
_FOR_A_MINUTE = "Undo for a minute."
_ADDITIONS = {  # list → what its form asks for
    ListName.EXAMPLES: ("A question that is to be learned", "Its answer", "Send for review"),
    ListName.GOLDEN: ("A question whose answer must stay right", "Its answer", "Add to the golden set"),
}
_Shown = dict[Any, Any]  # what changes on the page: component → its value


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
        self._db, self._aids, self._read_version, self._mounts = db, aids, read_version, tuple(mounts)
        self._desk = ReviewDesk(db, audit, aids, read_version=read_version, approvals_required=approvals_required)
        self._drafts = Drafts()

    def build(self) -> gr.Blocks:
        """Return the page, with a role on each of its functions."""
        page = gr.Blocks(title="Review", analytics_enabled=False, fill_height=True)
        with page:
            self._on = ReviewLayout()
            self._listen(page, gr.Timer(_TICK_S))
        return page

    def _listen(self, page: gr.Blocks, timer: gr.Timer) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "outputs": self._on.list_all()}
        told = [self._on.key, self._on.chosen, self._on.reply, self._on.wordings, self._on.note, self._on.marked]
        here = [self._on.state, self._on.search]
        page.load(self._load, None, **quiet)
        timer.tick(self._look_again, [self._on.state, self._on.key, self._on.drawn], **quiet)
        self._on.state.input(self._list, here, trigger_mode="always_last", **quiet)
        self._on.search.input(self._list, here, trigger_mode="always_last", **quiet)
        self._on.news.click(self._draw_queue, self._on.key, **quiet)
        self._on.queue.open(self._open_named, None, trigger_mode="always_last", **quiet)
        self._on.queue.look(self._look_at, here, trigger_mode="always_last", **quiet)
        self._on.queue.retire(self._retire, here, **quiet)
        self._on.item.choose(self._choose, self._on.key, **quiet)
        self._on.difference.compare(self._compare, [self._on.key, self._on.chosen], trigger_mode="always_last", **quiet)
        self._on.approve.click(self._approve_item, told, js=READ_MARKS, **quiet)
        self._on.confirm.click(self._reject_item, [self._on.key, self._on.chosen, self._on.note], **quiet)
        self._on.skip.click(self._skip_item, self._on.key, **quiet)
        self._on.undo.click(self._undo_last, here, **quiet)
        self._on.add.click(self._add_named, [*here, self._on.added_question, self._on.added_reply], **quiet)

    @requires(Role.REVIEWER)
    def _load(self, person: Person) -> _Shown:
        header = chat_view.render_header("Review", person, path="/review", version=self._read_version(), mounts=self._mounts, side="Queue")
        return self._show_next(person) | {self._on.header: header, self._on.alone: self._tell_alone(person)}

    @requires(Role.REVIEWER)
    def _look_again(self, person: Person, state: str, key: str, drawn: str) -> _Shown:
        """Tell quietly what is new; only an empty page fills by itself, nothing moves under a reviewer's hands."""
        shown: _Shown = {self._on.undo: self._tell_undo(person), self._on.alone: self._tell_alone(person)}
        if _read_list(state) is not ListName.WAITING:
            return shown
        if not key:
            waits = review_queue.list_items(self._db.read(), reviewer=person.id, now=self.clock(), limit=1)
            return shown | self._show_next(person) if waits else shown
        count = review_queue.count_new(self._db.read(), reviewer=person.id, since=_read_moment(drawn, self.clock()))
        return shown | {self._on.news: gr.update(value=f"{count} new", visible=count > 0)}

    @requires(Role.REVIEWER)
    def _draw_queue(self, person: Person, key: str) -> _Shown:
        return self._show_queue(person, key or "")

    @requires(Role.REVIEWER)
    def _list(self, person: Person, state: str, search: str) -> _Shown:
        return self._show_list(person, _read_list(state), search or "")

    @requires(Role.REVIEWER)
    def _look_at(self, person: Person, state: str, search: str, event: gr.EventData) -> _Shown:  # noqa: ARG002  the role is what matters
        name, one = _read_list(state), read_text(event, "id")
        if name is ListName.WAITING:
            return {self._on.notice: ""}
        try:
            found = review_lists.render_one(self._db.read(), name, one)
        except FeedbackError as refused:
            return self._complain(refused)
        return {
            self._on.item: found,
            self._on.notice: "",
            self._on.queue: review_lists.render_named(self._db.read(), name, search or "", shown=one),
        }

    @requires(Role.REVIEWER)
    def _open_named(self, person: Person, event: gr.EventData) -> _Shown:
        key = QuestionKey(read_text(event, "id"))
        try:
            with self._db.write() as tx:
                review_queue.claim(tx, key, reviewer=person.id, now=self.clock())
            return self._show_item(person, key)
        except FeedbackError as refused:
            return self._show_next(person) | self._complain(refused)

    @requires(Role.REVIEWER)
    def _choose(self, person: Person, key: str, event: gr.EventData) -> _Shown:
        try:
            shown = self._show_item(person, QuestionKey(key or ""), chosen=read_text(event, "id"))
        except FeedbackError as refused:
            return self._show_what_is_there(person, key or "") | self._complain(refused)
        kept = {self._on.wordings, self._on.note}  # what somebody has written of the question holds for each of its corrections
        return {part: value for part, value in shown.items() if part not in kept}

    @requires(Role.REVIEWER)
    def _compare(self, person: Person, key: str, chosen: str, event: gr.EventData) -> _Shown:
        try:
            opened = self._desk.find_shown(person, key or "", chosen or "", now=self.clock())
        except FeedbackError as refused:
            return self._complain(refused)
        reply, wordings = read_text(event, "reply"), read_text(event, "wordings")
        self._drafts.keep(person.id, opened.item.question_key, _chosen_id(opened), Draft(reply=reply, wordings=wordings))
        return {
            self._on.difference: review_view.render_difference(opened.turn.reply, reply),
            self._on.badges: self._render_badges(opened, reply, self._list_related(opened, reply), wordings),
        }

    @requires(Role.REVIEWER)
    def _approve_item(self, person: Person, key: str, chosen: str, reply: str, wordings: str, note: str, marked: str) -> _Shown:
        def approve(opened: Opened) -> str:
            marks = read_marks(marked or "")
            self._desk.approve(person, opened, reply or "", wordings=wordings or "", note=note or "", marks=marks, now=self.clock())
            return "Approved." if opened.chosen is not None else "Sent for review: somebody else decides on what you wrote."

        return self._decide(person, key, chosen, approve)

    @requires(Role.REVIEWER)
    def _reject_item(self, person: Person, key: str, chosen: str, note: str) -> _Shown:
        def reject(opened: Opened) -> str:
            self._desk.reject(person, opened, note=note or "", now=self.clock())
            return "Rejected."

        return self._decide(person, key, chosen, reject)

    @requires(Role.REVIEWER)
    def _skip_item(self, person: Person, key: str) -> _Shown:
        if key:
            with self._db.write() as tx:
                review_queue.skip(tx, QuestionKey(key), reviewer=person.id, now=self.clock())
        return self._show_next(person)

    @requires(Role.REVIEWER)
    def _undo_last(self, person: Person, state: str, search: str) -> _Shown:
        try:
            undone = self._desk.undo(person, now=self.clock())
        except FeedbackError as refused:
            return self._complain(refused) | {self._on.undo: self._tell_undo(person)}
        if undone.question_key is None:
            return self._show_list(person, _read_list(state), search or "") | {self._on.notice: chat_view.render_hint("Undone.")}
        try:
            with self._db.write() as tx:
                review_queue.claim(tx, undone.question_key, reviewer=person.id, now=self.clock())
            shown = self._show_item(person, undone.question_key)
        except FeedbackError:  # it does not wait for this reviewer: he proposed it himself, or somebody else has it
            shown = self._show_next(person)
        return shown | {self._on.notice: chat_view.render_hint("Undone.")}

    @requires(Role.REVIEWER)
    def _retire(self, person: Person, state: str, search: str, event: gr.EventData) -> _Shown:
        known_id = read_name(read_text(event, "id"))
        try:
            if known_id is not None:
                self._desk.retire(person, known_id, now=self.clock())
        except FeedbackError as refused:
            return self._complain(refused)
        return self._show_list(person, _read_list(state), search or "") | self._confirm_deed("Retired.")

    @requires(Role.REVIEWER)
    def _add_named(self, person: Person, state: str, search: str, question: str, reply: str) -> _Shown:
        name = _read_list(state)
        try:
            if name is ListName.GOLDEN:
                self._desk.add_golden(person, question=question or "", reply=reply or "", now=self.clock())
                words = "Added."
            else:
                self._desk.add_example(person, question=question or "", reply=reply or "", now=self.clock())
                words = "Sent for review: it becomes an example when somebody else approves it."
        except FeedbackError as refused:
            return self._complain(refused)
        shown = self._show_list(person, name, search or "") | self._confirm_deed(words)
        return shown | {self._on.added_question: gr.update(value=""), self._on.added_reply: gr.update(value="")}

    def _decide(self, person: Person, key: str, chosen: str, decide: Callable[[Opened], str]) -> _Shown:
        """Decide on what is shown, and go on to the next item; `decide` says what was done. What is no longer there is shown anew."""
        try:
            words = decide(self._desk.find_shown(person, key or "", chosen or "", now=self.clock()))
        except (ItemChangedError, NotFoundError) as refused:
            return self._show_what_is_there(person, key or "") | self._complain(refused)
        except FeedbackError as refused:
            return self._complain(refused)
        self._drafts.drop(person.id, key or "")
        return self._show_next(person) | self._confirm_deed(words)

    def _show_next(self, person: Person) -> _Shown:
        """Take the most useful item and show it, and what waits beside it."""
        with self._db.write() as tx:
            review_queue.release_claims(tx, reviewer=person.id)
            found = review_queue.claim_next(tx, reviewer=person.id, now=self.clock())
        return self._show_item(person, None if found is None else found.question_key)

    def _show_what_is_there(self, person: Person, key: str) -> _Shown:
        """Show a question anew if it waits still, else the next one."""
        try:
            return self._show_item(person, QuestionKey(key))
        except FeedbackError:
            return self._show_next(person)

    def _show_item(self, person: Person, key: QuestionKey | None, chosen: str = "") -> _Shown:
        now = self.clock()
        opened = None if key is None else self._desk.open_item(person, key, chosen=chosen, now=now)
        shown: _Shown = self._show_queue(person, key or "") | {
            self._on.state: ListName.WAITING.value,
            self._on.search: gr.update(visible=False, value=""),
            self._on.adding: gr.update(visible=False),
            self._on.decide: gr.update(visible=opened is not None),
            self._on.buttons: gr.update(visible=opened is not None),
            self._on.notice: "",
            self._on.key: key or "",
            self._on.note: "",
            self._on.undo: self._tell_undo(person),
        }
        if opened is None:
            return shown | {self._on.item: review_view.render_nothing(), self._on.badges: "", self._on.chosen: ""}
        chosen_id = _chosen_id(opened)
        proposed = opened.turn.reply if opened.chosen is None else opened.chosen.corrected_reply
        draft = self._drafts.find(person.id, opened.item.question_key, chosen_id) or Draft(reply=proposed, wordings="")
        related = self._list_related(opened, draft.reply)
        is_first = len(opened.context) == 1 and opened.chosen is not None
        return shown | {
            self._on.item: review_view.render_item(
                opened.item,
                opened.context,
                opened.reports,
                opened.proposals,
                support=opened.support,
                chosen=chosen_id,
                opened_at=now,
            ),
            self._on.badges: self._render_badges(opened, draft.reply, related, draft.wordings),
            self._on.chosen: chosen_id or "",
            self._on.reply: draft.reply,
            self._on.difference: review_view.render_difference(opened.turn.reply, draft.reply),
            self._on.related: review_view.render_related(
                related, self._list_watched(opened, draft.reply), self._aids.list_wordings(opened.turn.user_message) if is_first else []
            ),
            self._on.wordings: gr.update(value=draft.wordings, visible=opened.chosen is not None),
            self._on.approve: gr.update(value="Approve (A)" if opened.chosen is not None else "Send for review (A)"),
        }

    def _show_queue(self, person: Person, shown: str) -> _Shown:
        now = self.clock()
        items = review_queue.list_items(self._db.read(), reviewer=person.id, now=now)
        return {
            self._on.queue: review_view.render_queue(items, shown=shown, now=now),
            self._on.drawn: now.isoformat(),
            self._on.news: gr.update(visible=False),
        }

    def _show_list(self, person: Person, name: ListName, search: str) -> _Shown:
        """Show the queue and its next item, or one of the lists of what was decided."""
        if name is ListName.WAITING:
            return self._show_next(person)
        with self._db.write() as tx:
            review_queue.release_claims(tx, reviewer=person.id)
        question, reply, button = _ADDITIONS.get(name, ("", "", ""))
        return {
            self._on.state: name.value,
            self._on.search: gr.update(visible=name in _ADDITIONS),
            self._on.news: gr.update(visible=False),
            self._on.queue: review_lists.render_named(self._db.read(), name, search if name in _ADDITIONS else ""),
            self._on.item: review_lists.render_unread(name),
            self._on.badges: "",
            self._on.decide: gr.update(visible=False),
            self._on.buttons: gr.update(visible=False),
            self._on.adding: gr.update(visible=name in _ADDITIONS),
            self._on.added_question: gr.update(label=question),
            self._on.added_reply: gr.update(label=reply),
            self._on.add: button,
            self._on.key: "",
            self._on.notice: "",
            self._on.undo: self._tell_undo(person),
        }

    def _list_related(self, opened: Opened, reply: str) -> Sequence[Related]:
        if opened.chosen is None:
            return []
        return self._aids.list_related(opened.turn.user_message, opened.turn.reply, reply)

    def _list_watched(self, opened: Opened, reply: str) -> Sequence[Watched]:
        if opened.chosen is None:
            return []
        return self._aids.list_watched(opened.turn.user_message, opened.turn.reply, reply)

    def _render_badges(self, opened: Opened, reply: str, related: Sequence[Related], wordings: str) -> str:
        reader = self._db.read()
        record = None if opened.chosen is None else corrections.read_author_record(reader, opened.chosen.author_id)
        badges = review_view.list_badges(
            [opened.turn.user_message, reply, wordings],
            record,
            related,
            links=sorted(list_links(reply) - list_links(opened.turn.reply)),
            has_consent=conversations.has_consent(reader, opened.turn.conversation_id),
        )
        return review_view.render_badges(badges)

    def _tell_undo(self, person: Person) -> _Shown:
        reader = self._db.read()
        last = decisions.find_undoable(reader, reviewer=person.id, now=self.clock())
        if last is None:
            return gr.update(visible=False)
        return gr.update(visible=True, value=review_view.tell_undo(last.deed, decisions.read_question(reader, last)))

    def _tell_alone(self, person: Person) -> str:
        is_alone = people.count_reviewers(self._db.read()) < 2
        return review_view.render_alone(is_admin=person.role is Role.ADMIN) if is_alone else ""

    def _confirm_deed(self, words: str) -> _Shown:
        return {self._on.notice: chat_view.render_hint(f"{words} {_FOR_A_MINUTE}")}

    def _complain(self, refused: FeedbackError) -> _Shown:
        return {self._on.notice: chat_view.render_notice(str(refused))}


def _chosen_id(opened: Opened) -> CorrectionId | None:
    return None if opened.chosen is None else opened.chosen.id


def _read_list(state: str) -> ListName:
    return ListName(state) if state in set(ListName) else ListName.WAITING


def _read_moment(drawn: str, now: datetime) -> datetime:
    """Return when a browser says that its queue was drawn; it can say anything."""
    try:
        moment = datetime.fromisoformat(drawn or "")
    except ValueError:
        return now
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
