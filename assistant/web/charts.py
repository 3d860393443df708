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
        """Put the charts on the page, empty."""
        with gr.Row(elem_classes="charts"):
            self._thumbs = _plot_lines("Thumbs a day", {"good": _GOOD, "bad": _BAD}, "thumbs")
            self._corrections = _plot_lines("Corrections a day", {"written": _PLAIN, "approved": _GOOD, "rejected": _BAD}, "corrections")
            self._waiting = _plot_line("Waiting for a reviewer", "waiting")
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
            self._first_token = _plot_line("Time to the first token, ms (median)", "first-token", visible=False)
            self._speed = _plot_line("Tokens a second", "speed", visible=False)

    @property
    def all(self) -> list[Any]:
        """The charts."""
        return [self._thumbs, self._corrections, self._waiting, self._learned, self._first_token, self._speed]

    def draw(self, reader: Reader, *, until: datetime, days: int) -> dict[Any, Any]:
        """Return what each chart shows."""
        found = count_days(reader, until=until, days=days)
        thumbs = [(day.date, count, kind) for day in found for count, kind in ((day.liked, "good"), (day.disliked, "bad"))]
        corrections = [
            (day.date, count, kind)
            for day in found
            for count, kind in ((day.corrections, "written"), (day.approved, "approved"), (day.rejected, "rejected"))
        ]
        learned = _list_learned(reader)
        return {
            self._thumbs: _frame(thumbs, ("day", "count", "kind")),
            self._corrections: _frame(corrections, ("day", "count", "kind")),
            self._waiting: _frame([(day.date, day.waiting) for day in found], ("day", "value")),
            self._learned: _show_if_any(learned, ("version", "share")),
            self._first_token: _show_if_any([(day.date, day.first_token_ms) for day in found if day.first_token_ms is not None]),
            self._speed: _show_if_any([(day.date, day.tokens_per_s) for day in found if day.tokens_per_s is not None]),
        }


def _plot_lines(title: str, colours: dict[str, str], name: str) -> gr.LinePlot:
    return gr.LinePlot(
        x="day",
        y="count",
        color="kind",
        title=title,
        color_map=colours,
        x_title=" ",
        y_title=" ",
        color_title=" ",
        height=230,
        elem_id=f"chart-{name}",
    )


def _plot_line(title: str, name: str, *, visible: bool = True) -> gr.LinePlot:
    return gr.LinePlot(x="day", y="value", title=title, x_title=" ", y_title=" ", height=230, visible=visible, elem_id=f"chart-{name}")


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


def _show_if_any(rows: Sequence[Sequence[object]], columns: Sequence[str] = ("day", "value")) -> Any:
    """A plot of nothing is an empty frame to the eye, and something without a name to a screen reader."""
    return gr.update(value=_frame(rows, columns), visible=bool(rows))


def _frame(rows: Sequence[Sequence[object]], columns: Sequence[str]) -> Any:
    import pandas as pd  # noqa: PLC0415  Gradio's plots take nothing else, and it takes a second to import

    frame = pd.DataFrame(rows, columns=list(columns))
    if "day" in frame:
        frame["day"] = pd.to_datetime(frame["day"])
    return frame
