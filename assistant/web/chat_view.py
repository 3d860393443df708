"""What the chat page shows, as HTML: from records to text that no browser runs. Pure; knows no Gradio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from assistant.chat import MAX_MESSAGE_CHARS
from assistant.web.markdown import render_markdown
from feedback_db.fixes import Fix
from feedback_db.records import Conversation, ConversationId, CorrectionId, CorrectionState, Person, Rating, Role, Turn, TurnId, TurnState

REASONS = {
    "wrong": "Not right",
    "outdated": "Out of date",
    "incomplete": "Incomplete",
    "missed": "Not what I asked",
    "tone": "Tone",
}
templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True)
_PAGES = {"/": ("Chat", Role.REVIEWER), "/review": ("Review", Role.REVIEWER), "/admin": ("Admin", Role.ADMIN)}
_SENTENCES = {
    CorrectionState.PENDING: "Thank you. A reviewer will look at your correction.",
    CorrectionState.APPROVED: "Your correction was approved. It is learned with the next training.",
    CorrectionState.REJECTED: "A reviewer has looked at your correction and did not take it up.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """What became of a correction of one's own; `asks` whether it is better now."""

    sentence: str
    correction_id: CorrectionId
    asks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A turn as it is shown."""

    id: TurnId
    message: str
    reply: str
    html: Markup
    version: int
    is_last: bool
    is_stopped: bool
    error: str | None
    is_good: bool | None
    reason: str
    comment: str
    news: tuple[_News, ...]
    waiting: str | None  # one's own correction that no reviewer has decided yet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    conversation: str
    mark: str
    message: str
    text: str
    html: Markup


def render_header(title: str, person: Person, *, path: str, version: int | None, mounts: Sequence[str], side: str | None) -> str:
    """Return the top of a page: its title, the version that answers, the way to the other pages of one's role, signing in and out.

    `path` is the page's own; `side` says what the list at its side holds, None where there is none.
    """
    pages = [(mount, name) for mount, (name, role) in _PAGES.items() if mount in mounts and person.role.includes(role)]
    return templates.get_template("header.html.jinja").render(
        title=title, person=person, version=version, pages=pages, side=side, here=path, up="./" if path == "/" else "../"
    )


def render_log(
    turns: Sequence[Turn],
    ratings: Sequence[Rating],
    fixes: Sequence[Fix],
    *,
    greeting: str,
    examples: Sequence[str],
    has_consent: bool,
    is_answering: bool,
    earlier: int = 0,
) -> str:
    """Return a conversation, or how to begin one; while a reply is on its way, the last turn cannot be changed.

    `earlier` is how many turns before these are left out.
    """
    by_turn = {rating.turn_id: rating for rating in ratings}
    said = [_say(turn, by_turn.get(turn.id), fixes, is_last=turn is turns[-1]) for turn in turns]
    return _render_log(
        pending=None,
        turns=said,
        greeting=greeting,
        examples=examples,
        has_consent=has_consent,
        is_answering=is_answering,
        earlier=earlier,
    )


def mark_anew(log: str, mark: str) -> str:
    """Return a log that differs from the one before, so that the page notices that it was drawn anew though nothing in it has changed."""
    return log + str(Markup('<i hidden data-mark="{}"></i>').format(mark))


def render_pending(message: str, text: str, *, conversation: str, mark: str) -> str:
    """Return a turn whose reply is being written; a page follows the reply once for each mark that it sees."""
    pending = _Pending(conversation=conversation, mark=mark, message=message, text=text, html=render_markdown(text))
    return _render_log(pending=pending)


def render_conversations(conversations: Sequence[Conversation], *, shown: ConversationId | None, search: str) -> str:
    """Return the list of a person's conversations."""
    return templates.get_template("conversation_list.html.jinja").render(conversations=conversations, shown=shown, search=search)


def render_notice(sentence: str) -> str:
    """Return a sentence about what went wrong, "" for none."""
    return str(Markup('<p class="problem" role="alert">{}</p>').format(sentence)) if sentence else ""


def render_hint(sentence: str) -> str:
    """Return a sentence that somebody may want to know, "" for none."""
    return str(Markup('<p class="hint" role="status">{}</p>').format(sentence)) if sentence else ""


def _render_log(**told: object) -> str:
    found: Mapping[str, object] = {"reasons": REASONS.items(), "most_chars": MAX_MESSAGE_CHARS, **told}
    return templates.get_template("chat_log.html.jinja").render(found)


def _say(turn: Turn, rating: Rating | None, fixes: Sequence[Fix], *, is_last: bool) -> _Said:
    return _Said(
        id=turn.id,
        message=turn.user_message,
        reply=turn.reply,
        html=render_markdown(turn.reply),
        version=turn.version,
        is_last=is_last,
        is_stopped=turn.state is TurnState.STOPPED,
        error=turn.error,
        is_good=None if rating is None else rating.is_good,
        reason="" if rating is None else rating.reason,
        comment="" if rating is None else rating.comment,
        news=tuple(_tell(fix) for fix in fixes if fix.turn_id == turn.id),
        waiting=next((fix.corrected_reply for fix in fixes if fix.turn_id == turn.id and fix.state is CorrectionState.PENDING), None),
    )


def _tell(fix: Fix) -> _News:
    if fix.fixed_in is None:
        return _News(sentence=_SENTENCES[fix.state], correction_id=fix.correction_id, asks=False)
    if fix.is_better is None:
        sentence = f"Fixed in version {fix.fixed_in}. Ask again: is it better?"
    else:
        sentence = f"Fixed in version {fix.fixed_in}. " + ("You found it better." if fix.is_better else "You found it no better.")
    return _News(sentence=sentence, correction_id=fix.correction_id, asks=fix.is_better is None)
