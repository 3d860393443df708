"""What happened over time, as charts: what people think, what they correct, what was learned, how quickly replies come."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import gradio as gr

from feedback_db import releases, runs
from feedback_db.database import Reader
from feedback_db.reports import Outcome, read_report
from feedback_db.statistics import count_days

PERIODS = {"7 days": 7, "30 days": 30, "90 days": 90}
_GOOD, _BAD, _PLAIN = "#16a34a", "#dc2626", "#6366f1"  # told apart from each other and from both grounds
_MOST_VERSIONS = 30


class Charts:
    """Builds the charts and draws them."""

    def build(self) -> None:
        """Put the charts on the page, each hidden until there is something to draw."""
        self._nothing = gr.HTML(elem_id="no-charts")
        with gr.Row(elem_classes="charts"):
            self._thumbs = _plot_kinds("Thumbs a day", {"good": _GOOD, "bad": _BAD}, "thumbs")
            self._corrections = _plot_kinds("Corrections a day", {"written": _PLAIN, "approved": _GOOD, "rejected": _BAD}, "corrections")
            self._waiting = _plot_days("Waiting for a reviewer", "waiting")
            self._learned = gr.BarPlot(
                x="version",
                y="share",
                title="Learned of what was approved, %",
                x_title="version",
                y_title=" ",
                y_lim=[0, 100],
                height=230,
                visible=False,
                elem_id="chart-learned",
            )
            self._first_token = _plot_days("First token after, ms (median)", "first-token")
            self._speed = _plot_days("Tokens a second", "speed")

    @property
    def all(self) -> list[Any]:
        """The charts, and what stands there while there is none."""
        return [self._nothing, self._thumbs, self._corrections, self._waiting, self._learned, self._first_token, self._speed]

    def draw(self, reader: Reader, *, until: datetime, days: int) -> dict[Any, Any]:
        """Return what each chart shows."""
        found = count_days(reader, until=until, days=days)
        thumbs = [(day.date, count, kind) for day in found for count, kind in ((day.liked, "good"), (day.disliked, "bad"))]
        corrections = [
            (day.date, count, kind)
            for day in found
            for count, kind in ((day.corrections, "written"), (day.approved, "approved"), (day.rejected, "rejected"))
        ]
        waiting = [(day.date, day.waiting) for day in found]
        first_token = [(day.date, round(day.first_token_ms or 0)) for day in found]
        speed = [(day.date, round(day.tokens_per_s or 0)) for day in found]
        drawn = {
            self._thumbs: _draw(thumbs, ("day", "count", "kind")),
            self._corrections: _draw(corrections, ("day", "count", "kind")),
            self._waiting: _draw(waiting, ("day", "value")),
            self._learned: _draw(_list_learned(reader), ("version", "share")),
            self._first_token: _draw(first_token, ("day", "value")),
            self._speed: _draw(speed, ("day", "value")),
        }
        is_empty = not any(one["visible"] for one in drawn.values())
        return {**drawn, self._nothing: "<p>Nothing has happened in this time.</p>" if is_empty else ""}


def _plot_kinds(title: str, colours: dict[str, str], name: str) -> gr.BarPlot:
    return gr.BarPlot(
        x="day",
        x_bin="1d",
        y="count",
        color="kind",
        title=title,
        color_map=colours,
        x_title=" ",
        y_title=" ",
        color_title=" ",
        height=230,
        visible=False,
        elem_id=f"chart-{name}",
    )


def _plot_days(title: str, name: str) -> gr.BarPlot:
    return gr.BarPlot(
        x="day", x_bin="1d", y="value", title=title, x_title=" ", y_title=" ", height=230, visible=False, elem_id=f"chart-{name}"
    )


def _list_learned(reader: Reader) -> list[tuple[str, float]]:
    """Return, of the newest versions, the oldest first, which share of their examples each answers right, in per cent."""
    trained = [(release.version, release.run_id) for release in releases.list_releases(reader) if release.run_id is not None]
    found = []
    for version, run_id in reversed(trained[:_MOST_VERSIONS]):
        stored = runs.find_report(reader, run_id)
        outcomes = [] if stored is None else list(read_report(stored.report).outcomes().values())
        if outcomes:
            right = sum(outcome in {Outcome.LEARNED, Outcome.KNOWN} for outcome in outcomes)
            found.append((str(version), 100 * right / len(outcomes)))
    return found


def _draw(rows: Sequence[Sequence[object]], columns: Sequence[str]) -> dict[str, Any]:
    """Show rows whose second column is drawn; of nothing but zeros a plot makes an odd axis, of none something without a name."""
    return gr.update(value=_frame(rows, columns), visible=any(row[1] for row in rows))


def _frame(rows: Sequence[Sequence[object]], columns: Sequence[str]) -> Any:
    import pandas as pd  # noqa: PLC0415  Gradio's plots take nothing else, and it takes a second to import

    frame = pd.DataFrame(rows, columns=list(columns))
    if "day" in frame:
        frame["day"] = pd.to_datetime(frame["day"])
    return frame
