"""What the review page shows, as HTML: from records to text that no browser runs. Pure; knows no Gradio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from textwrap import shorten

from markupsafe import Markup

from assistant.plain_text import tell_count
from assistant.web.chat_view import REASONS, templates
from assistant.web.markdown import render_markdown
from assistant.web.review_marks import name_known
from assistant.web.word_diff import render_diff
from feedback_db.corrections import AuthorRecord
from feedback_db.decisions import Deed
from feedback_db.records import Correction, CorrectionId, Turn
from feedback_db.review_queue import OpenReport, QueueItem
from feedback_db.text_checks import find_personal_data, gives_orders, is_hostile
from feedback_db.training_records import OpeningQuestion, Related, Relation, Watched

_RELATIONS = {
    Relation.CONTRADICTS: "Contradicts this:",
    Relation.OLD_FACT: "Says the old fact, too:",
    Relation.SAME: "Says this already:",
}
_ALONE = (
    "You are the only one who may review. Nobody decides on what they wrote themselves, so your own corrections wait for a second person: "
    "four eyes keep wrong and hostile answers out of the model. To have a second reviewer,"
)
_DEEDS = {
    Deed.APPROVED: "approved",
    Deed.REJECTED: "rejected",
    Deed.PROPOSED: "sent for review",
    Deed.DISMISSED: "rejected",
    Deed.RETIRED: "retired",
    Deed.ADDED: "added",
}
_MOST_TITLE_CHARS = 48
_EMPTY = "Nothing waits for you"
_EMPTY_WORDS = "Corrections and bad ratings appear here, the most useful first. What you wrote yourself waits for somebody else."


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """Something that a reviewer should know before deciding; `kind` is how it looks: good, warn or plain."""

    kind: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the list at the side; `do` is what a click on it does, `retires` what its cross takes out, "" without one."""

    id: str
    first: str
    second: str
    do: str
    is_shown: bool = False
    retires: str = ""


def render_queue(items: Sequence[QueueItem], *, shown: str, now: datetime) -> str:
    """Return what waits, a line each."""
    lines = [
        Line(
            id=item.question_key,
            first=item.question,
            second=f"{tell_count(item.reporter_count, 'report')} · {_describe_corrections(item)} · {_tell_age(now, item.first_at)}",
            do="open",
            is_shown=item.question_key == shown,
        )
        for item in items
    ]
    return render_list("What waits for a reviewer", lines, "Nothing waits for you.")


def render_list(label: str, lines: Sequence[Line], words: str) -> str:
    """Return a list at the side, or the words where it is empty."""
    return templates.get_template("review_list.html.jinja").render(label=label, lines=lines, words=words)


def render_alone(*, is_admin: bool) -> str:
    """Return what somebody is told who is the only one who may review."""
    link = Markup('add one on the <a href="../admin/">admin page</a>, under People') if is_admin else "ask an admin to add one"
    return str(Markup('<p class="hint">{} {}.</p>').format(_ALONE, link))


def render_nothing() -> str:
    """Return what is shown where nothing waits."""
    return templates.get_template("review_item.html.jinja").render(item=None, title=_EMPTY, words=_EMPTY_WORDS)


def render_item(
    item: QueueItem,
    context: Sequence[Turn],
    reports: Sequence[OpenReport],
    proposals: Sequence[Correction],
    *,
    support: Mapping[str, int],
    chosen: CorrectionId | None,
    opened_at: datetime,
) -> str:
    """Return the question under review with its conversation, what people say of it, and what they propose."""
    comments = [" · ".join(filter(None, (REASONS.get(report.reason, ""), report.comment))) for report in reports]
    return templates.get_template("review_item.html.jinja").render(
        item=item,
        chosen=chosen or "",
        opened_at=int(opened_at.timestamp()),
        context=tell_context(context),
        comments=[comment for comment in comments if comment],
        proposals=[
            {"id": one.id, "text": one.corrected_reply, "is_chosen": one.id == chosen, "support": support[one.corrected_reply]}
            for one in proposals
        ],
    )


def tell_context(context: Sequence[Turn]) -> list[Mapping[str, object]]:
    """Return what was said up to a turn, and what the program that asked for it has told of before, or told the assistant to be."""
    told = context[0].told_history or ()
    before = [{"message": asked, "html": render_markdown(said), "version": None, "system": None} for asked, said in told]
    here = [
        {"message": turn.user_message, "html": render_markdown(turn.reply), "version": turn.version, "system": turn.told_system}
        for turn in context
    ]
    return [*before, *here]


def render_badges(badges: Sequence[Badge]) -> str:
    """Return what a reviewer should know before deciding."""
    lines = Markup("").join(Markup('<span class="badge {}">{}</span>').format(badge.kind, badge.sentence) for badge in badges)
    return str(Markup('<p class="badges">{}</p>').format(lines)) if badges else ""


def render_difference(before: str, after: str) -> str:
    """Return what the reply was and what it would be, word by word."""
    if before.strip() == after.strip():
        return '<p class="aside">The same as the reply.</p>'
    return str(Markup('<p class="difference">{}</p>').format(render_diff(before.strip(), after.strip())))


def render_related(related: Sequence[Related], watched: Sequence[Watched], wordings: Sequence[OpeningQuestion]) -> str:
    """Return what else has to do with the reply, to be retired, changed or no longer watched, and how others asked the same."""
    known = [
        {"name": name_known(one.id), "kind": "Golden set" if isinstance(one.id, int) else "Example", **_relate(one)} for one in related
    ] + [{"key": one.key, "kind": "Guard set", **_relate(one)} for one in watched]
    asked = [{"id": one.turn_id, "text": one.text, "badges": mark_texts([one.text])} for one in wordings]
    return templates.get_template("related.html.jinja").render(known=known, asked=asked)


def _relate(one: Related | Watched) -> dict[str, object]:
    return {"words": _RELATIONS[one.relation], "relation": one.relation.value, "said": one}


def tell_undo(deed: Deed, question: str) -> str:
    """Return what a decision's undo is called."""
    title = shorten(question, _MOST_TITLE_CHARS, placeholder="…")
    return f"Undo: {_DEEDS[deed]} “{title}” (U)" if title else f"Undo: {_DEEDS[deed]} (U)"


def render_keys(keys: Mapping[str, str]) -> str:
    """Return what the keys do, folded up."""
    lines = Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(key, words) for key, words in keys.items())
    return str(Markup('<details id="help"><summary>Keys</summary><dl>{}</dl></details>').format(lines))


def mark_texts(texts: Sequence[str]) -> list[Badge]:
    """Return what a reviewer should know of texts by themselves: personal data, what hides in them, whom they speak to."""
    kinds = sorted({mark.kind.value for text in texts for mark in find_personal_data(text)})
    badges = [Badge(kind="warn", sentence=f"possible {kind}") for kind in kinds]
    if any(is_hostile(text) for text in texts):
        badges.append(Badge(kind="warn", sentence="hidden or control characters"))
    if any(gives_orders(text) for text in texts):
        badges.append(Badge(kind="warn", sentence="speaks to the model"))
    return badges


def list_badges(
    texts: Sequence[str], record: AuthorRecord | None, related: Sequence[Related], *, links: Sequence[str], has_consent: bool
) -> list[Badge]:
    """Return what a reviewer should know of the texts that would be learned, their new links, their author and their kin."""
    badges = [*mark_texts(texts), *(Badge(kind="warn", sentence=f"new link: {link}") for link in links)]
    if any(one.relation is Relation.CONTRADICTS for one in related):
        badges.append(Badge(kind="warn", sentence="contradicts what is approved"))
    if any(one.relation is Relation.SAME for one in related):
        badges.append(Badge(kind="plain", sentence="approved already"))
    if not has_consent:
        badges.append(Badge(kind="warn", sentence="no consent: nothing is trained on it"))
    if record is not None:
        known = record.approved + record.rejected
        badges.append(
            Badge(kind="plain", sentence=f"author: {record.approved} of {known} approved" if known else "the author's first correction")
        )
    return badges


def _describe_corrections(item: QueueItem) -> str:
    return tell_count(item.correction_count, "correction") if item.correction_count else "disliked"


def _tell_age(now: datetime, then: datetime) -> str:
    minutes = max(0, int((now - then).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 60 * 48 else f"{minutes // 1440} d"
