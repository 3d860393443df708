"""What the review page shows, as HTML: from records to text that no browser runs. Pure; knows no Gradio."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from assistant.web.chat_view import REASONS, templates
from assistant.web.markdown import render_markdown
from assistant.web.word_diff import render_diff
from feedback_db.corrections import AuthorRecord, Decided
from feedback_db.records import Correction, CorrectionId, Turn
from feedback_db.review_queue import OpenReport, QueueItem
from feedback_db.text_checks import find_personal_data, gives_orders
from feedback_db.training_records import Example, GoldenItem, Related, Relation

_RELATIONS = {
    Relation.CONTRADICTS: "Contradicts this:",
    Relation.OLD_FACT: "Says the old fact, too:",
    Relation.SAME: "Says this already:",
}
_EMPTY = "Nothing waits for you"
_EMPTY_WORDS = "Corrections and bad ratings appear here, the most useful first. What you wrote yourself waits for somebody else."


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """Something that a reviewer should know before deciding; `kind` is how it looks: good, warn or plain."""

    kind: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    id: str
    first: str
    second: str
    do: str
    is_shown: bool
    can_retire: bool


def render_queue(items: Sequence[QueueItem], *, shown: str, now: datetime) -> str:
    """Return what waits, a line each."""
    lines = [
        _Line(
            id=item.question_key,
            first=item.question,
            second=f"{_count(item.reporter_count, 'report')} · {_describe_corrections(item)} · {_tell_age(now, item.first_at)}",
            do="open",
            is_shown=item.question_key == shown,
            can_retire=False,
        )
        for item in items
    ]
    return _render_list("What waits for a reviewer", lines, "Nothing waits for you.")


def render_decided(decided: Sequence[Decided]) -> str:
    """Return what was approved or rejected, a line each."""
    lines = [
        _Line(
            id=one.correction.id,
            first=one.question,
            second=one.final_reply or " · ".join(filter(None, (one.correction.corrected_reply, one.note))),
            do="look",
            is_shown=False,
            can_retire=False,
        )
        for one in decided
    ]
    return _render_list("What was decided", lines, "Nothing yet.")


def render_examples(found: Sequence[Example]) -> str:
    """Return what may be trained, a line each."""
    lines = [
        _Line(id=one.id, first=one.messages[-1]["content"], second=one.reply, do="look", is_shown=False, can_retire=True) for one in found
    ]
    return _render_list("Approved examples", lines, "No example says that.")


def render_golden(found: Sequence[GoldenItem]) -> str:
    """Return the golden set, a line each."""
    lines = [_Line(id=str(one.id), first=one.question, second=one.reply, do="look", is_shown=False, can_retire=True) for one in found]
    return _render_list("Golden set", lines, "No golden item says that.")


def render_nothing() -> str:
    """Return what is shown where nothing waits."""
    return templates.get_template("review_item.html.jinja").render(item=None, title=_EMPTY, words=_EMPTY_WORDS)


def render_item(
    item: QueueItem,
    context: Sequence[Turn],
    reports: Sequence[OpenReport],
    proposals: Sequence[Correction],
    *,
    chosen: CorrectionId | None,
    opened_at: datetime,
) -> str:
    """Return the question under review with its conversation, what people say of it, and what they propose."""
    comments = [" · ".join(filter(None, (REASONS.get(report.reason, ""), report.comment))) for report in reports]
    return templates.get_template("review_item.html.jinja").render(
        item=item,
        opened_at=int(opened_at.timestamp()),
        context=[{"message": turn.user_message, "html": render_markdown(turn.reply), "version": turn.version} for turn in context],
        comments=[comment for comment in comments if comment],
        proposals=[{"id": one.id, "text": one.corrected_reply, "is_chosen": one.id == chosen} for one in proposals],
    )


def render_badges(badges: Sequence[Badge]) -> str:
    """Return what a reviewer should know before deciding."""
    lines = Markup("").join(Markup('<span class="badge {}">{}</span>').format(badge.kind, badge.sentence) for badge in badges)
    return str(Markup('<p class="badges">{}</p>').format(lines)) if badges else ""


def render_difference(before: str, after: str) -> str:
    """Return what the reply was and what it would be, word by word."""
    if before.strip() == after.strip():
        return '<p class="aside">The same as the reply.</p>'
    return str(Markup('<p class="difference">{}</p>').format(render_diff(before.strip(), after.strip())))


def render_related(related: Sequence[Related], *, marked: Set[str]) -> str:
    """Return what else has to do with the reply, each to be ticked."""
    lines = [
        {
            "key": name_related(one),
            "words": _RELATIONS[one.relation],
            "relation": one.relation.value,
            "question": one.question,
            "reply": one.reply,
            "is_marked": name_related(one) in marked,
        }
        for one in related
    ]
    return templates.get_template("related.html.jinja").render(related=lines)


def render_keys(keys: Mapping[str, str]) -> str:
    """Return what the keys do, folded up."""
    lines = Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(key, words) for key, words in keys.items())
    return str(Markup('<details id="help"><summary>Keys</summary><dl>{}</dl></details>').format(lines))


def name_related(one: Related) -> str:
    """Return a name for an example or a golden item that a browser can send back."""
    return f"golden {one.id}" if isinstance(one.id, int) else f"example {one.id}"


def list_badges(
    texts: Sequence[str], record: AuthorRecord | None, related: Sequence[Related], *, links: Sequence[str], has_consent: bool
) -> list[Badge]:
    """Return what a reviewer should know of the texts that would be learned, their new links, their author and their kin."""
    kinds = sorted({mark.kind.value for text in texts for mark in find_personal_data(text)})
    badges = [Badge(kind="warn", sentence=f"possible {kind}") for kind in kinds]
    badges += [Badge(kind="warn", sentence=f"new link: {link}") for link in links]
    if any(gives_orders(text) for text in texts):
        badges.append(Badge(kind="warn", sentence="speaks to the model"))
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


def _render_list(label: str, lines: Sequence[_Line], words: str) -> str:
    return templates.get_template("review_list.html.jinja").render(label=label, lines=lines, words=words)


def _describe_corrections(item: QueueItem) -> str:
    return _count(item.correction_count, "correction") if item.correction_count else "disliked"


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def _tell_age(now: datetime, then: datetime) -> str:
    minutes = max(0, int((now - then).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 60 * 48 else f"{minutes // 1440} d"
