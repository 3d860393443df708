"""The chat page: conversations of one's own, replies while they are written, ratings and corrections.

Nothing that a browser sends is trusted but its session: it names conversations and turns, and each name is looked up among one's own.
"""

import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
from anyio import to_thread

from assistant.answering import Answering, UnderWay
from assistant.chat import MAX_MESSAGE_CHARS
from assistant.engine.live import LiveAssistant
from assistant.errors import AssistantError
from assistant.web import chat_view
from assistant.web.events import read_flag, read_text
from assistant.web.roles import requires
from assistant.web.sign_in import SignIn
from feedback_db import conversations, corrections, erasure, fixes
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import FeedbackError, NotFoundError
from feedback_db.records import Channel, ConversationId, CorrectionId, Person, Role, TurnId

_PAUSE_S = 0.07  # between two looks at a reply on its way: some fourteen a second
_HERE = Path(__file__).parent
_CONSENT = "Errata may learn from this conversation"  # the wording that a consent is recorded with
_MOST_SHOWN = 50  # turns; a page with more of them becomes slow
_Shown = dict[Any, Any]  # what changes on the page: component → its value


class ChatPage:
    """Builds the page and answers what people do on it."""

    def __init__(
        self,
        db: Database,
        audit: Audit,
        live: LiveAssistant,
        answering: Answering,
        sign_in: SignIn,
        *,
        title: str,
        examples: Sequence[str],
        mounts: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self.sign_in, self.clock = sign_in, clock
        self._db, self._audit, self._live, self._answering = db, audit, live, answering
        self._title, self._examples, self._mounts = title, tuple(examples), tuple(mounts)

    def build(self) -> gr.Blocks:
        """Return the page, with a role on each of its functions."""
        page = gr.Blocks(title=self._title, analytics_enabled=False, fill_height=True)
        with page:
            self._header = gr.HTML(elem_id="header")
            with gr.Row(elem_id="layout"):
                with gr.Column(elem_id="side", scale=0, min_width=0):
                    self._new = gr.Button("New chat", variant="secondary", elem_id="new")
                    self._search = gr.Textbox(label="Search", show_label=False, placeholder="Search", elem_id="search", max_lines=1)
                    self._list = gr.HTML(elem_id="conversations", js_on_load=_read("conversation_list.js"))
                with gr.Column(elem_id="main"):
                    self._log = gr.HTML(elem_id="chat", js_on_load=_read("chat_log.js"))
                    self._pending = gr.HTML(elem_id="pending", js_on_load=_read("pending.js"))
                    with gr.Column(elem_id="foot"):
                        self._notice = gr.HTML(elem_id="notice")
                        with gr.Row(elem_id="ask"):
                            self._message = gr.Textbox(
                                label="Your message",
                                show_label=False,
                                container=False,
                                placeholder="Ask something …",
                                elem_id="msg",
                                max_lines=8,
                                max_length=MAX_MESSAGE_CHARS,
                                autofocus=True,
                            )
                            self._submit = gr.Button("Send", variant="primary", elem_id="send", scale=0, min_width=0)
                            self._end = gr.Button("Stop", variant="secondary", elem_id="stop", scale=0, min_width=0)
                        self._consent = gr.Checkbox(label=_CONSENT, elem_id="consent", container=False)
            self._conversation = gr.Textbox(visible="hidden", elem_id="conversation")
            self._listen(page)
        return page

    def _listen(self, page: gr.Blocks) -> None:
        everything = [self._header, self._list, self._log, self._pending, self._notice, self._message, self._consent, self._conversation]
        here = self._conversation
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "outputs": everything}
        asks = {**quiet, "concurrency_limit": None}
        page.load(self._load, here, js=_READ_ADDRESS, **asks)
        for say in (self._message.submit, self._submit.click):
            say(self._send, [self._message, here, self._consent], **asks)
        self._end.click(self._stop, here, **quiet)
        self._log.ask(self._send_example, [here, self._consent], **asks)
        self._log.retry(self._retry, here, **asks)
        self._log.rewrite(self._rewrite, here, **asks)
        self._log.rate(self._rate, here, **quiet)
        self._log.correct(self._correct, here, **quiet)
        self._log.vote(self._vote, here, **quiet)
        self._new.click(self._begin, None, **quiet)
        self._list.open(self._load_named, None, **asks)
        self._list.rename(self._rename, [here, self._search], **quiet)
        self._list.erase(self._erase, [here, self._search], **quiet)
        self._search.change(self._find, [here, self._search], trigger_mode="always_last", **quiet)
        self._consent.input(self._give_consent, [self._consent, here], **quiet)
        here.change(None, here, None, js=_WRITE_ADDRESS, show_progress="hidden")

    @requires(Role.END_USER)
    async def _load(self, person: Person, conversation: str) -> AsyncGenerator[_Shown, None]:
        async for shown in self._open(person, conversation):
            yield shown

    @requires(Role.END_USER)
    async def _load_named(self, person: Person, event: gr.EventData) -> AsyncGenerator[_Shown, None]:
        async for shown in self._open(person, read_text(event, "id")):
            yield shown

    async def _open(self, person: Person, conversation: str) -> AsyncGenerator[_Shown, None]:
        """Show a conversation, and its answer that is under way; one that is not there is as good as none."""
        try:
            conversation_id = await to_thread.run_sync(self._check, person, conversation) if conversation else None
        except NotFoundError:
            conversation_id = None
        found = None if conversation_id is None else self._answering.find(conversation_id)
        yield await to_thread.run_sync(self._show, person, conversation_id)
        if conversation_id is not None and found is not None:
            async for shown in self._follow(person, conversation_id, found):
                yield shown

    @requires(Role.END_USER)
    async def _send(self, person: Person, message: str, conversation: str, consent: bool) -> AsyncGenerator[_Shown, None]:
        async for shown in self._ask(person, message, conversation, consent):
            yield shown

    @requires(Role.END_USER)
    async def _send_example(self, person: Person, conversation: str, consent: bool, event: gr.EventData) -> AsyncGenerator[_Shown, None]:
        async for shown in self._ask(person, read_text(event, "message"), conversation, consent):
            yield shown

    async def _ask(self, person: Person, message: str, conversation: str, consent: bool) -> AsyncGenerator[_Shown, None]:
        """Answer a message, in a new conversation if there is none yet."""
        if not message.strip():
            return
        try:
            conversation_id, found = await to_thread.run_sync(self._begin_answer, person, message, conversation, consent)
        except (AssistantError, FeedbackError) as refused:
            yield {self._notice: chat_view.render_notice(str(refused)), self._message: message}
            return
        async for shown in self._follow(person, conversation_id, found):
            yield shown

    def _begin_answer(self, person: Person, message: str, conversation: str, consent: bool) -> tuple[ConversationId, UnderWay]:
        if conversation:
            conversation_id = self._check(person, conversation)
            return conversation_id, self._answering.ask(conversation_id, message, person_id=person.id)
        now, conversation_id = self.clock(), ConversationId(uuid.uuid4().hex)
        with self._db.write() as tx:
            conversations.start_conversation(tx, conversation_id, person_id=person.id, channel=Channel.WEB, title=message, now=now)
            if consent:
                conversations.record_consent(tx, conversation_id, given=True, wording=_CONSENT, now=now)
        try:
            return conversation_id, self._answering.ask(conversation_id, message, person_id=person.id)
        except (AssistantError, FeedbackError):
            with self._db.write() as tx:  # nothing was said in it
                erasure.erase_conversation(tx, conversation_id, now=now)
            raise

    @requires(Role.END_USER)
    async def _retry(self, person: Person, conversation: str, event: gr.EventData) -> AsyncGenerator[_Shown, None]:
        async for shown in self._ask_again(person, conversation, read_text(event, "turn"), None):
            yield shown

    @requires(Role.END_USER)
    async def _rewrite(self, person: Person, conversation: str, event: gr.EventData) -> AsyncGenerator[_Shown, None]:
        async for shown in self._ask_again(person, conversation, read_text(event, "turn"), read_text(event, "message")):
            yield shown

    async def _ask_again(self, person: Person, conversation: str, turn: str, message: str | None) -> AsyncGenerator[_Shown, None]:
        """Answer the last message again, in other words if there are any."""
        try:
            conversation_id, found = await to_thread.run_sync(self._begin_again, person, conversation, turn, message)
        except (AssistantError, FeedbackError) as refused:
            yield {self._notice: chat_view.render_notice(str(refused))}
            return
        async for shown in self._follow(person, conversation_id, found):
            yield shown

    def _begin_again(self, person: Person, conversation: str, turn: str, message: str | None) -> tuple[ConversationId, UnderWay]:
        conversation_id = self._check(person, conversation)
        last = conversations.find_turn(self._db.read(), TurnId(turn), owner=person.id)
        found = self._answering.ask(
            conversation_id, last.user_message if message is None else message, person_id=person.id, replaces=last.id
        )
        return conversation_id, found

    async def _follow(self, person: Person, conversation_id: ConversationId, found: UnderWay) -> AsyncGenerator[_Shown, None]:
        """Show a reply while it is written; if the browser goes, the reply goes on."""
        yield await to_thread.run_sync(self._show, person, conversation_id, found) | {self._message: ""}
        told = ""
        while not found.is_ended:
            await anyio.sleep(_PAUSE_S)
            if found.text != told and not found.is_ended:
                told = found.text
                yield {self._pending: chat_view.render_pending(found.message, told)}
        shown = await to_thread.run_sync(self._show, person, conversation_id)
        if found.error is not None:
            shown[self._notice] = chat_view.render_notice(str(found.error))
        yield shown

    @requires(Role.END_USER)
    def _stop(self, person: Person, conversation: str) -> _Shown:
        try:
            found = self._answering.find(self._check(person, conversation))
        except NotFoundError:
            found = None
        if found is not None:
            found.stop()
        return {self._notice: ""}

    @requires(Role.END_USER)
    def _begin(self, person: Person) -> _Shown:
        return self._show(person, None)

    @requires(Role.END_USER)
    def _rate(self, person: Person, conversation: str, event: gr.EventData) -> _Shown:
        def rate(conversation_id: ConversationId) -> None:
            turn = self._check_turn(person, conversation_id, read_text(event, "turn"))
            value, now = read_text(event, "value"), self.clock()
            with self._db.write() as tx:
                if value in {"good", "bad"}:
                    conversations.rate(tx, turn, person_id=person.id, is_good=value == "good", reason="", comment="", now=now)
                else:
                    conversations.withdraw_rating(tx, turn, person_id=person.id, now=now)

        return self._change(person, conversation, rate)

    @requires(Role.END_USER)
    def _correct(self, person: Person, conversation: str, event: gr.EventData) -> _Shown:
        def correct(conversation_id: ConversationId) -> None:
            turn = conversations.find_turn(
                self._db.read(), self._check_turn(person, conversation_id, read_text(event, "turn")), owner=person.id
            )
            reply, reason, comment = (read_text(event, key) for key in ("reply", "reason", "comment"))
            now, is_changed = self.clock(), reply.strip() != turn.reply.strip()
            with self._db.write() as tx:
                if read_flag(event, "consent"):
                    conversations.record_consent(tx, conversation_id, given=True, wording=_CONSENT, now=now)
                if reason in chat_view.REASONS or comment.strip() or is_changed:
                    reason = reason if reason in chat_view.REASONS else ""
                    conversations.rate(tx, turn.id, person_id=person.id, is_good=False, reason=reason, comment=comment, now=now)
                if is_changed:
                    corrections.add_correction(
                        tx, CorrectionId(uuid.uuid4().hex), turn_id=turn.id, corrected_reply=reply, author=person.id, now=now
                    )

        return self._change(person, conversation, correct)

    @requires(Role.END_USER)
    def _vote(self, person: Person, conversation: str, event: gr.EventData) -> _Shown:
        def vote(conversation_id: ConversationId) -> None:
            told = fixes.list_fixes(self._db.read(), conversation_id, author=person.id, served=self._live.status().version)
            wanted = read_text(event, "correction")
            found = next((fix for fix in told if fix.correction_id == wanted and fix.fixed_in is not None), None)
            if found is None or found.fixed_in is None:
                raise NotFoundError("a correction that went live", wanted)
            is_better, now = read_text(event, "value") == "better", self.clock()
            with self._db.write() as tx:
                fixes.vote(tx, found.correction_id, author=person.id, version=found.fixed_in, is_better=is_better, now=now)

        return self._change(person, conversation, vote)

    @requires(Role.END_USER)
    def _rename(self, person: Person, conversation: str, search: str, event: gr.EventData) -> _Shown:
        def rename(_: ConversationId) -> None:
            with self._db.write() as tx:
                title = read_text(event, "title")
                conversations.rename_conversation(tx, ConversationId(read_text(event, "id")), owner=person.id, title=title)

        try:
            rename(ConversationId(conversation))
        except FeedbackError as refused:
            return {self._notice: chat_view.render_notice(str(refused))}
        return {self._list: self._render_list(person, conversation, search), self._notice: ""}

    @requires(Role.END_USER)
    def _erase(self, person: Person, conversation: str, search: str, event: gr.EventData) -> _Shown:
        try:
            erased = self._check(person, read_text(event, "id"))
        except NotFoundError:
            return self._show(person, None)
        found = self._answering.find(erased)
        if found is not None:
            found.stop()
            found.wait()
        with self._db.write() as tx:  # the next tick of the supervisor takes the text out of the files, too
            counts = erasure.erase_conversation(tx, erased, now=self.clock()).counts
            self._audit.append(tx, actor=person.id, action="erase", subject=erased, details=dict(counts), now=self.clock())
        if erased == conversation:
            return self._show(person, None)
        return {self._list: self._render_list(person, conversation, search), self._notice: ""}

    @requires(Role.END_USER)
    def _find(self, person: Person, conversation: str, search: str) -> _Shown:
        return {self._list: self._render_list(person, conversation, search)}

    @requires(Role.END_USER)
    def _give_consent(self, person: Person, consent: bool, conversation: str) -> _Shown:
        def record(conversation_id: ConversationId) -> None:
            with self._db.write() as tx:
                conversations.record_consent(tx, conversation_id, given=consent, wording=_CONSENT, now=self.clock())

        return self._change(person, conversation, record) if conversation else {self._notice: ""}

    def _change(self, person: Person, conversation: str, change: Callable[[ConversationId], None]) -> _Shown:
        """Change something of one's own conversation and show it as it is then, or the sentence that says why it cannot be."""
        try:
            conversation_id = self._check(person, conversation)
            change(conversation_id)
        except FeedbackError as refused:
            return {self._notice: chat_view.render_notice(str(refused))}
        return {
            self._log: self._render_log(person, conversation_id, self._answering.find(conversation_id)),
            self._consent: bool(conversations.find_conversation(self._db.read(), conversation_id, owner=person.id).consent),
            self._notice: "",
        }

    def _check(self, person: Person, conversation: str) -> ConversationId:
        return conversations.find_conversation(self._db.read(), ConversationId(conversation), owner=person.id).id

    def _check_turn(self, person: Person, conversation_id: ConversationId, turn: str) -> TurnId:
        found = conversations.find_turn(self._db.read(), TurnId(turn), owner=person.id)
        if found.conversation_id != conversation_id:
            raise NotFoundError("a turn", turn)
        return found.id

    def _show(self, person: Person, conversation_id: ConversationId | None, under_way: UnderWay | None = None) -> _Shown:
        """Return the whole page as it is for somebody with a conversation, None for a new one."""
        found = None if conversation_id is None else conversations.find_conversation(self._db.read(), conversation_id, owner=person.id)
        return {
            self._header: chat_view.render_header(
                self._title, person, path="/", version=self._live.status().version, mounts=self._mounts, side="Conversations"
            ),
            self._list: self._render_list(person, conversation_id or "", ""),
            self._log: self._render_log(person, conversation_id, under_way),
            self._pending: "" if under_way is None else chat_view.render_pending(under_way.message, under_way.text),
            self._notice: "",
            self._conversation: conversation_id or "",
            self._consent: found is not None and bool(found.consent),
        }

    def _render_list(self, person: Person, shown: str, search: str) -> str:
        own = conversations.list_conversations(self._db.read(), person.id, search=search)
        return chat_view.render_conversations(own, shown=ConversationId(shown), search=search)

    def _render_log(self, person: Person, conversation_id: ConversationId | None, under_way: UnderWay | None) -> str:
        reader = self._db.read()
        served = self._live.status().version
        turns = [] if conversation_id is None else conversations.list_turns(reader, conversation_id)[-_MOST_SHOWN:]
        told = [] if conversation_id is None else fixes.list_fixes(reader, conversation_id, author=person.id, served=served)
        ratings = [] if conversation_id is None else conversations.list_ratings(reader, conversation_id, person_id=person.id)
        consent = conversation_id is not None and bool(conversations.find_conversation(reader, conversation_id, owner=person.id).consent)
        replaced = None if under_way is None else under_way.replaces
        return chat_view.render_log(
            [turn for turn in turns if turn.id != replaced],
            ratings,
            told,
            greeting="How can I help?",
            examples=self._examples,
            has_consent=consent,
            is_answering=under_way is not None,
        )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


_READ_ADDRESS = "() => [new URLSearchParams(location.search).get('c') ?? '']"
_WRITE_ADDRESS = "(id) => { history.replaceState(null, '', id ? `?c=${encodeURIComponent(id)}` : location.pathname); return [] }"
