"""`/metrics` for Prometheus: what the engine has done since the start, and what waits in the memory. Counts nothing itself."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from assistant.engine.live import LiveAssistant
from assistant.engine.meter import FIRST_TOKEN_BOUNDS_S
from feedback_db import statistics
from feedback_db.database import Database

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NO_VERSION = -1


class Metrics(Collector):
    """Collects the figures when they are asked for."""

    def __init__(self, db: Database, live: LiveAssistant) -> None:
        self._db, self._live = db, live
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> bytes:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: the figures are looked up when they are asked for."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the figures."""
        yield from self._collect_engine()
        yield from self._collect_memory()

    def _collect_engine(self) -> Iterable[Metric]:
        totals, status = self._live.totals(), self._live.status()
        replies = CounterMetricFamily("errata_replies", "Replies by how they ended.", labels=["finish"])
        for finish, count in sorted(totals.replies.items()):
            replies.add_metric([finish], count)
        tokens = CounterMetricFamily("errata_tokens", "Tokens of prompts and of replies.", labels=["kind"])
        tokens.add_metric(["prompt"], totals.prompt_tokens)
        tokens.add_metric(["reply"], totals.reply_tokens)
        first = HistogramMetricFamily("errata_first_token_seconds", "From a request to the first text of its reply.")
        buckets = [(str(bound), float(count)) for bound, count in zip(FIRST_TOKEN_BOUNDS_S, totals.first_token_counts, strict=True)]
        first.add_metric([], [*buckets, ("+Inf", float(totals.first_tokens))], totals.first_token_s)
        yield replies
        yield tokens
        yield first
        yield CounterMetricFamily("errata_swaps", "Releases that the engine was swapped to.", totals.swaps)
        yield GaugeMetricFamily("errata_replies_under_way", "Replies that are being written.", status.rows)
        yield GaugeMetricFamily("errata_replies_waiting", "Replies that wait for a place.", status.waiting)
        yield GaugeMetricFamily("errata_tokens_per_second", "Tokens a second of the last ten seconds.", status.tokens_a_second)
        yield GaugeMetricFamily("errata_served_version", "The version that answers, -1 for none.", _number(status.version))

    def _collect_memory(self) -> Iterable[Metric]:
        found = statistics.count_states(self._db.read())
        served = self._live.status().version
        yield GaugeMetricFamily("errata_deployed_version", "The version that is wished to answer, -1 for none.", _number(found.deployed))
        yield GaugeMetricFamily("errata_wish_is_not_fact", "1 while another version is deployed than answers.", found.deployed != served)
        yield _by_state("errata_corrections", "Corrections by their state.", found.corrections)
        yield _by_state("errata_runs", "Runs by their state.", found.runs)
        yield GaugeMetricFamily("errata_review_queue", "Questions that wait for a review.", found.waiting)


def _number(version: int | None) -> int:
    return _NO_VERSION if version is None else version


def _by_state(name: str, what: str, counts: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family
