"""What was decided and what is known, to be found and read: lists at the side and one of their lines in full, as HTML. Changes nothing."""

from enum import StrEnum

from assistant.plain_text import tell_count, tell_time
from assistant.web.chat_view import templates
from assistant.web.markdown import render_markdown
from assistant.web.review_marks import name_known, read_name
from assistant.web.review_view import Line, render_difference, render_list, tell_context
from feedback_db import conversations, corrections, examples, golden, people, unwatched
from feedback_db.corrections import Decided
from feedback_db.database import Reader
from feedback_db.errors import NotFoundError
from feedback_db.lineage import Descendants, find_descendants
from feedback_db.records import Correction, CorrectionId, CorrectionState, Decision, PersonId, Review
from feedback_db.training_records import ExampleId, GoldenItem


class ListName(StrEnum):
    """The lists of the page."""

    WAITING = "Waiting"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    EXAMPLES = "Examples"
    GOLDEN = "Golden set"


def render_named(reader: Reader, name: ListName, words: str, *, shown: str = "") -> str:
    """Return a list other than the queue, as far as it holds these words, a line each."""
    if name is ListName.EXAMPLES:
        lines = [
            Line(
                id=one.id,
                first=one.messages[-1]["content"],
                second=one.reply,
                do="look",
                is_shown=one.id == shown,
                retires=name_known(one.id),
            )
            for one in examples.search_examples(reader, words)
        ]
        return render_list("Approved examples", lines, "No example says that." if words else "No example yet.")
    if name is ListName.GOLDEN:
        lines = [
            Line(id=str(one.id), first=one.question, second=one.reply, do="look", is_shown=str(one.id) == shown, retires=name_known(one.id))
            for one in golden.search_golden(reader, words)
        ]
        return render_list("Golden set", lines, "No golden item says that." if words else "No golden item yet.")
    state = CorrectionState.APPROVED if name is ListName.APPROVED else CorrectionState.REJECTED
    lines = [_list_decided(one, is_shown=one.correction.id == shown) for one in corrections.list_decided(reader, state)]
    return render_list("What was decided", lines, "Nothing yet.")


def render_unread(name: ListName) -> str:
    """Return what stands in the place of a line before one is chosen."""
    return templates.get_template("review_item.html.jinja").render(item=None, title=name.value, words="Choose a line to read all of it.")


def render_one(reader: Reader, name: ListName, one: str) -> str:
    """Return a line of a list in full.

    Raises:
        NotFoundError: it is gone.
    """
    if name is ListName.GOLDEN:
        golden_id = read_name(f"golden {one}")
        if not isinstance(golden_id, int):
            raise NotFoundError("a golden item", one)
        return _render_golden(reader, golden.find_golden(reader, golden_id))
    return _render_correction(reader, corrections.find_correction(reader, CorrectionId(one)))


def _list_decided(one: Decided, *, is_shown: bool) -> Line:
    second = one.final_reply or " · ".join(filter(None, (one.correction.corrected_reply, one.note)))
    return Line(id=one.correction.id, first=one.question, second=second, do="look", is_shown=is_shown)


def _render_golden(reader: Reader, item: GoldenItem) -> str:
    return templates.get_template("decided.html.jinja").render(
        title=item.question,
        context=[{"message": item.question, "html": render_markdown(item.reply), "version": None}],
        lines=[f"Added by {_name(reader, item.added_by)}, {tell_time(item.created_at)}."],
    )


def _render_correction(reader: Reader, correction: Correction) -> str:
    context = conversations.list_context(reader, correction.turn_id)
    reviews = corrections.list_reviews(reader, correction.id)
    final = next((one.final_reply for one in reversed(reviews) if one.final_reply), correction.corrected_reply)
    learned = find_descendants(reader, [ExampleId(correction.id)])
    return templates.get_template("decided.html.jinja").render(
        title=context[-1].user_message,
        context=tell_context(context),
        difference=render_difference(context[-1].reply, final),
        proposed=correction.corrected_reply if correction.corrected_reply != final else "",
        final=final,
        is_rejected=correction.state is CorrectionState.REJECTED,
        lines=[f"Proposed by {_name(reader, correction.author_id)}, {tell_time(correction.created_at)}."]
        + [_tell_review(reader, one) for one in reviews]
        + _tell_unwatched(unwatched.count_unwatched(reader, correction.id))
        + ([] if correction.state is CorrectionState.REJECTED else [_tell_training(reader, correction, learned)]),
        wordings=[one.text for one in examples.list_variants(reader, correction.id)],
    )


def _tell_review(reader: Reader, review: Review) -> str:
    did = "Approved" if review.decision is Decision.APPROVED else "Rejected"
    why = review.note or ("no reason given" if review.decision is Decision.REJECTED else "")
    return f"{did} by {_name(reader, review.reviewer_id)}, {tell_time(review.created_at)}{f': {why}' if why else ''}."


def _tell_unwatched(count: int) -> list[str]:
    return [f"{tell_count(count, 'question')} of the guard set no longer watched since."] if count else []


def _tell_training(reader: Reader, correction: Correction, learned: Descendants) -> str:
    if learned.versions:
        versions = ", ".join(str(version) for version in learned.versions)
        return f"Learned by version {versions}; in {tell_count(len(learned.snapshot_ids), 'snapshot')}: {_shorten(learned.snapshot_ids)}."
    if learned.snapshot_ids:
        return f"In {tell_count(len(learned.snapshot_ids), 'snapshot')}, in no version yet: {_shorten(learned.snapshot_ids)}."
    obstacle = examples.find_obstacle(reader, ExampleId(correction.id))
    return _OBSTACLES.get(obstacle or "", "In no snapshot yet; the next training takes it.")


def _shorten(ids: tuple[str, ...]) -> str:
    return ", ".join(one[:8] for one in ids)


def _name(reader: Reader, person_id: PersonId) -> str:
    return people.find_person(reader, person_id).name or "a visitor"


_OBSTACLES = {
    "missing": "Approved just now; it becomes an example in a moment.",
    "retired": "Retired: nothing is trained on it any more.",
    "unconsented": "Its conversation has no consent: nothing is trained on it.",
    "pending": "It waits for another reviewer.",
    "withdrawn": "Its approval was withdrawn: it waits again.",
}
