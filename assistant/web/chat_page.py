"""The chat page: conversations of one's own, replies while they are written, ratings and corrections.

Nothing that a browser sends is trusted but its session: it names conversations and turns, and each name is looked up among one's own.
"""

import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.answering import Answering, UnderWay
from assistant.engine.live import LiveAssistant
from assistant.errors import AssistantError
from assistant.web import chat_view
from assistant.web.chat_drawing import SHOWN_AT_ONCE, ChatDrawing, Shown
from assistant.web.chat_layout import KEEP_MESSAGE, READ_ADDRESS, WRITE_ADDRESS, ChatLayout
from assistant.web.events import read_flag, read_text
from assistant.web.feedback import CONSENT, Feedback
from assistant.web.own_conversations import OwnConversations
from assistant.web.roles import requires
from assistant.web.screen import Screens, Stay
from assistant.web.sign_in import SignIn
from feedback_db import conversations
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.errors import FeedbackError, NotFoundError
from feedback_db.records import ConversationId, Person, Role

_PAUSE_S = 0.07  # between two looks at a reply on its way: some fourteen a second
_PAUSE_EACH_S = 0.006  # for each reply that is drawn on any page: drawing one takes some 2 ms, and a crowd's must leave the replies time
_MOST_DIGITS = 6  # of a number of turns that a browser tells
_DELETED = "This conversation was deleted, perhaps in another tab. Ask anew, or choose another one."
_UNANSWERED = "This message has no answer yet. Send it again."
_Drawing = AsyncGenerator[Shown, None]


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
        self._db, self._live, self._answering = db, live, answering
        self._title, self._examples, self._mounts = title, tuple(examples), tuple(mounts)
        self._feedback, self._screens = Feedback(db, live), Screens()
        self._drawn_count = 0  # replies that are being drawn
        self._own = OwnConversations(db, audit, answering, clock)

    def build(self) -> gr.Blocks:
        """Return the page, with a role on each of its functions."""
        page = gr.Blocks(title=self._title, analytics_enabled=False, fill_height=True)
        with page:
            self._on = ChatLayout()
            self._drawing = ChatDrawing(self._on, self._db, self._live, title=self._title, examples=self._examples, mounts=self._mounts)
            self._listen(page)
        return page

    def _listen(self, page: gr.Blocks) -> None:
        on, here = self._on, self._on.conversation
        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        quiet: dict[str, Any] = {**hidden, "outputs": on.list_all()}
        asks = {**quiet, "concurrency_limit": None}
        opens = {**asks, "trigger_mode": "multiple"}  # or what is still being drawn would keep anything else from being opened
        # Gradio makes each output anew that a yield leaves alone, half a millisecond each: what is yielded often has few.
        follows = {**hidden, "outputs": [on.pending, on.notice], "concurrency_limit": None, "trigger_mode": "multiple"}
        writes: dict[str, Any] = {"fn": None, "inputs": here, "outputs": None, "js": WRITE_ADDRESS, "show_progress": "hidden"}
        page.load(self._load, [here, on.message], js=READ_ADDRESS, **asks).then(**writes)
        for say in (on.message.submit, on.submit.click):
            say(self._send, [on.message, here, on.consent], js=KEEP_MESSAGE, **asks)
        on.pending.follow(self._follow, None, **follows).then(self._show_end, here, **asks)
        on.end.click(self._stop, here, **quiet)
        on.log.ask(self._send_example, [here, on.consent], **asks)
        on.log.retry(self._retry, here, **asks)
        on.log.rewrite(self._rewrite, here, **asks)
        on.log.rate(self._rate, here, **quiet)
        on.log.correct(self._correct, here, **quiet)
        on.log.vote(self._vote, here, **quiet)
        on.log.earlier(self._show_earlier, here, **quiet)
        on.new.click(self._begin, None, **opens)
        on.list.open(self._load_named, None, **opens).then(**writes)
        on.list.rename(self._rename, [here, on.search], **quiet)
        on.list.erase(self._erase, [here, on.search], **asks)
        on.search.change(self._find, [here, on.search], trigger_mode="always_last", **quiet)
        on.consent.input(self._give_consent, [on.consent, here], **quiet)
        here.change(**writes)

    @requires(Role.END_USER)
    async def _load(self, person: Person, conversation: str, asked: str, browser: gr.Request) -> Shown:
        page = browser.session_hash
        if self._screens.find_shown(page) is None:
            return await self._draw(browser, conversation, partial(self._open, person, conversation, asked))
        await self._screens.wait_until_free(page)  # somebody has asked before the page was whole: what was said to that stays
        conversation = self._screens.find_shown(page) or ""
        shown = await self._draw(browser, conversation, partial(self._open, person, conversation, ""))
        return {part: value for part, value in shown.items() if part not in {self._on.notice, self._on.search}}

    @requires(Role.END_USER)
    async def _load_named(self, person: Person, browser: gr.Request, event: gr.EventData) -> Shown:
        wanted = read_text(event, "id")
        return await self._draw(browser, wanted, partial(self._open, person, wanted, ""))

    @requires(Role.END_USER)
    async def _begin(self, person: Person, browser: gr.Request) -> Shown:
        return await self._draw(browser, "", partial(self._open, person, "", ""))

    async def _draw(self, browser: gr.Request, conversation: str, draw: Callable[[], Shown]) -> Shown:
        """Draw a conversation on a page, "" for a new one, unless the page is to show something else meanwhile."""
        async with self._screens.take(browser.session_hash, conversation) as stay:
            shown = await to_thread.run_sync(draw)
            if stay.is_over:
                return {self._on.notice: gr.skip()}
            if self._on.conversation in shown:
                self._screens.note_shown(browser.session_hash, shown[self._on.conversation])
            return shown

    def _open(self, person: Person, conversation: str, asked: str) -> Shown:
        """Show a conversation, and its answer that is under way; one that is not there is as good as none.

        `asked` is the last message that the browser sent and saw no answer to: where there is none, it goes back into the box.
        """
        conversation_id = ConversationId(conversation) if self._own.is_own(person, conversation) else None
        found = None if conversation_id is None else self._answering.find(conversation_id)
        shown = self._drawing.show(person, conversation_id, found)
        if asked.strip() and found is None and not self._own.is_answered(conversation_id, asked):
            shown |= {self._on.message: asked, self._on.notice: chat_view.render_hint(_UNANSWERED)}
        return shown

    @requires(Role.END_USER)
    async def _send(self, person: Person, message: str, conversation: str, consent: bool, browser: gr.Request) -> Shown:
        return await self._ask(person, message, conversation, consent, browser)

    @requires(Role.END_USER)
    async def _send_example(self, person: Person, conversation: str, consent: bool, browser: gr.Request, event: gr.EventData) -> Shown:
        return await self._ask(person, read_text(event, "message"), conversation, consent, browser)

    @requires(Role.END_USER)
    async def _retry(self, person: Person, conversation: str, browser: gr.Request, event: gr.EventData) -> Shown:
        begin = partial(self._own.begin_again, person, conversation, read_text(event, "turn"), None)
        return await self._answer(person, conversation, begin, gr.skip(), browser)

    @requires(Role.END_USER)
    async def _rewrite(self, person: Person, conversation: str, browser: gr.Request, event: gr.EventData) -> Shown:
        begin = partial(self._own.begin_again, person, conversation, read_text(event, "turn"), read_text(event, "message"))
        return await self._answer(person, conversation, begin, gr.skip(), browser)

    async def _ask(self, person: Person, message: str, conversation: str, consent: bool, browser: gr.Request) -> Shown:
        """Answer a message, in a new conversation if there is none yet."""
        if not message.strip():
            return {self._on.notice: gr.skip()}
        begin = partial(self._own.begin_answer, person, message, conversation, consent=consent)
        return await self._answer(person, conversation, begin, message, browser)

    async def _answer(
        self, person: Person, conversation: str, begin: Callable[[], tuple[ConversationId, UnderWay]], draft: object, browser: gr.Request
    ) -> Shown:
        """Begin an answer and show that it is on its way; where it is refused, the box keeps the draft and the page shows why."""
        try:
            conversation_id, found = await to_thread.run_sync(begin)
        except (AssistantError, FeedbackError) as refused:
            if conversation and not await to_thread.run_sync(self._own.is_own, person, conversation):
                return await self._draw(browser, "", partial(self._refuse, person, conversation, refused)) | {self._on.message: draft}
            self._screens.note_shown(browser.session_hash, conversation)
            return {self._on.notice: chat_view.render_notice(str(refused)), self._on.message: draft}
        shown = await self._draw(browser, conversation_id, partial(self._drawing.show, person, conversation_id, found))
        return shown | {self._on.message: ""}

    @requires(Role.END_USER)
    async def _follow(self, person: Person, browser: gr.Request, event: gr.EventData) -> _Drawing:
        """Show a reply while it is written; if the browser goes or shows something else, the reply goes on.

        The page asks for it, with the mark that it was drawn with, wherever a reply on its way has been drawn.
        """
        conversation, mark = read_text(event, "conversation"), read_text(event, "mark")
        is_own = await to_thread.run_sync(self._own.is_own, person, conversation)
        found = self._answering.find(ConversationId(conversation)) if is_own else None
        if found is not None and self._is_shown(browser, conversation):
            async with self._screens.take(browser.session_hash, conversation) as stay, aclosing(self._follow_text(found, stay)) as told:
                async for text in told:
                    yield {self._on.pending: chat_view.render_pending(found.message, text, conversation=conversation, mark=mark)}
                if found.error is not None and not stay.is_over:
                    yield {self._on.notice: chat_view.render_notice(str(found.error))}
        yield {self._on.notice: gr.skip()}  # Gradio tells the last one again at the end

    async def _follow_text(self, found: UnderWay, stay: Stay) -> AsyncGenerator[str, None]:
        """Tell what there is of a reply whenever there is more of it, as often as all that are drawn allow."""
        told = ""
        while not found.text and not found.is_ended and not stay.is_over:
            await stay.pause(_PAUSE_S)
        self._drawn_count += 1
        try:
            while not found.is_ended and not stay.is_over:
                if found.text != told:
                    told = found.text
                    yield told
                await stay.pause(max(_PAUSE_S, _PAUSE_EACH_S * self._drawn_count))
        finally:
            self._drawn_count -= 1

    @requires(Role.END_USER)
    async def _show_end(self, person: Person, conversation: str, browser: gr.Request) -> Shown:
        """Show a conversation as it is once its answer has ended; what is being searched for meanwhile stays."""
        is_under_way = self._answering.find(ConversationId(conversation)) is not None  # the next answer, which is followed, too
        if not conversation or is_under_way or not self._is_shown(browser, conversation):
            return {self._on.notice: gr.skip()}
        return await self._draw(browser, conversation, partial(self._end_answer, person, conversation))

    def _end_answer(self, person: Person, conversation: str) -> Shown:
        try:
            log = self._drawing.render_log(person, self._own.check(person, conversation), None)
        except NotFoundError as gone:
            return self._refuse(person, conversation, gone)
        return {
            self._on.log: log,
            self._on.pending: "",
            self._on.header: self._drawing.render_header(person),
            self._on.conversation: conversation,
        }

    def _refuse(self, person: Person, conversation: str, refused: Exception) -> Shown:
        """Say why something cannot be; where that is because the conversation is gone, the page shows a new one."""
        if conversation and not self._own.is_own(person, conversation):
            return self._drawing.show(person, None) | {self._on.notice: chat_view.render_hint(_DELETED)}
        return {self._on.notice: chat_view.render_notice(str(refused))}

    @requires(Role.END_USER)
    def _stop(self, person: Person, conversation: str) -> Shown:
        try:
            found = self._answering.find(self._own.check(person, conversation))
        except NotFoundError:
            found = None
        if found is not None:
            found.stop()
        return {self._on.notice: ""}

    @requires(Role.END_USER)
    def _rate(self, person: Person, conversation: str, browser: gr.Request, event: gr.EventData) -> Shown:
        def rate(conversation_id: ConversationId) -> None:
            turn, value = read_text(event, "turn"), read_text(event, "value")
            self._feedback.rate(conversation_id, turn, value, person_id=person.id, now=self.clock())

        return self._change(person, conversation, browser, rate, most=_read_most(event))

    @requires(Role.END_USER)
    def _correct(self, person: Person, conversation: str, browser: gr.Request, event: gr.EventData) -> Shown:
        def correct(conversation_id: ConversationId) -> str:
            turn, reply, reason, comment = (read_text(event, key) for key in ("turn", "reply", "reason", "comment"))
            return self._feedback.correct(
                conversation_id,
                turn,
                reply=reply,
                reason=reason,
                comment=comment,
                consents=read_flag(event, "consent"),
                person_id=person.id,
                now=self.clock(),
            )

        return self._change(person, conversation, browser, correct, most=_read_most(event))

    @requires(Role.END_USER)
    def _vote(self, person: Person, conversation: str, browser: gr.Request, event: gr.EventData) -> Shown:
        def vote(conversation_id: ConversationId) -> None:
            correction, is_better = read_text(event, "correction"), read_text(event, "value") == "better"
            self._feedback.vote(conversation_id, correction, is_better=is_better, person_id=person.id, now=self.clock())

        return self._change(person, conversation, browser, vote, most=_read_most(event))

    @requires(Role.END_USER)
    def _show_earlier(self, person: Person, conversation: str, browser: gr.Request, event: gr.EventData) -> Shown:
        return self._change(person, conversation, browser, lambda _: None, most=_read_most(event) + SHOWN_AT_ONCE)

    @requires(Role.END_USER)
    def _rename(self, person: Person, conversation: str, search: str, event: gr.EventData) -> Shown:
        def rename(_: ConversationId) -> None:
            with self._db.write() as tx:
                title = read_text(event, "title")
                conversations.rename_conversation(tx, ConversationId(read_text(event, "id")), owner=person.id, title=title)

        try:
            rename(ConversationId(conversation))
        except FeedbackError as refused:
            return {self._on.notice: chat_view.render_notice(str(refused))}
        return {self._on.list: self._drawing.render_list(person, conversation, search), self._on.notice: ""}

    @requires(Role.END_USER)
    async def _erase(self, person: Person, conversation: str, search: str, browser: gr.Request, event: gr.EventData) -> Shown:
        wanted = read_text(event, "id")
        await to_thread.run_sync(self._own.erase, person, wanted)
        if wanted == conversation and self._is_shown(browser, wanted):
            return await self._draw(browser, "", partial(self._open, person, "", ""))
        return {self._on.list: await to_thread.run_sync(self._drawing.render_list, person, conversation, search), self._on.notice: ""}

    @requires(Role.END_USER)
    def _find(self, person: Person, conversation: str, search: str) -> Shown:
        return {self._on.list: self._drawing.render_list(person, conversation, search)}

    @requires(Role.END_USER)
    def _give_consent(self, person: Person, consent: bool, conversation: str, browser: gr.Request) -> Shown:
        def record(conversation_id: ConversationId) -> None:
            with self._db.write() as tx:
                conversations.record_consent(tx, conversation_id, given=consent, wording=CONSENT, now=self.clock())

        return self._change(person, conversation, browser, record) if conversation else {self._on.notice: ""}

    def _change(
        self,
        person: Person,
        conversation: str,
        browser: gr.Request,
        change: Callable[[ConversationId], str | None],
        *,
        most: int = SHOWN_AT_ONCE,
    ) -> Shown:
        """Change something of one's own conversation and show it as it is then, or the sentence that says why it cannot be.

        `change` returns what to say to that, if anything; `most` turns are shown. Where the page has gone on to another conversation
        meanwhile, that one stays.
        """
        try:
            conversation_id = self._own.check(person, conversation)
            answer = change(conversation_id) or ""
        except FeedbackError as refused:
            is_shown = self._is_shown(browser, conversation)
            return self._refuse(person, conversation, refused) if is_shown else {self._on.notice: chat_view.render_notice(str(refused))}
        log = self._drawing.render_log(person, conversation_id, self._answering.find(conversation_id), most=most)
        if not self._is_shown(browser, conversation):
            return {self._on.notice: gr.skip()}
        return {
            self._on.log: chat_view.mark_anew(log, uuid.uuid4().hex),
            self._on.consent: bool(conversations.find_conversation(self._db.read(), conversation_id, owner=person.id).consent),
            self._on.notice: chat_view.render_hint(answer),
        }

    def _is_shown(self, browser: gr.Request, conversation: str) -> bool:
        """Say whether a page shows this conversation still, as far as is known."""
        return self._screens.find_shown(browser.session_hash) in {None, conversation or ""}


def _read_most(event: gr.EventData) -> int:
    """Return how many turns the page shows at present, as its browser tells."""
    told = read_text(event, "shown")
    return max(SHOWN_AT_ONCE, int(told) if told.isdecimal() and len(told) <= _MOST_DIGITS else 0)
