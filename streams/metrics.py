"""Every Prometheus series of a worker, behind verbs of the domain, on a registry of the caller's.

The verbs are called on the event loop; a scrape reads from a thread of its own. What both touch is
either a series of the client library, which locks, or a dict that is replaced, never changed under
a reader's iteration. `docs/metrics.md` lists every series.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from streams.records import Signal, TrustReading

log = logging.getLogger(__name__)

SENTIMENTS: Final = ("negative", "neutral", "positive")
MAX_REASONS: Final = 50
"""Most reasons of rejection that have a series of their own."""
OTHER: Final = "other"

_MS, _MINUTE, _HOUR = 0.001, 60.0, 3_600.0
_SIZES = (1, 4, 16, 64, 256, 1_024, 4_096)
_STEPS = (_MS, 5 * _MS, 10 * _MS, 25 * _MS, 50 * _MS, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# From a post that is counted at once to one that waited for a worker over the weekend.
_DELAYS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE)
_LONG_DELAYS = (5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, 24 * _HOUR, 72 * _HOUR)


class Metrics:
    """What a worker tells Prometheus.

    Args:
        registry: where the series are registered; one registry holds one `Metrics`.
        max_brands: most brands whose series are shown.

    >>> registry = CollectorRegistry()
    >>> metrics = Metrics(registry)
    >>> metrics.own(["acme"])
    >>> metrics.mentioned("acme", "negative", leak=True)
    >>> registry.get_sample_value("trustwatch_leak_mentions_total", {"brand": "acme"})
    1.0
    """

    def __init__(self, registry: CollectorRegistry, *, max_brands: int = 2_000) -> None:
        # A second series with the time of birth for each counter and bucket tells nothing here.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        self._board = _Board(max_brands)
        self._reasons: set[str] = set()
        self._assigned: frozenset[tuple[str, int]] = frozenset()
        self._lagging: set[tuple[str, int]] = set()
        self._add_posts()
        self._add_worker()
        self._add_collectors()

    def _add_posts(self) -> None:
        counter = partial(Counter, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        self._judged = counter("trustwatch_posts_judged_total", "Posts that were judged.")
        self._written = counter("trustwatch_mentions_written_total", "Mentions that were written.")
        self._rejected = counter(
            "trustwatch_posts_rejected_total",
            "Records that went to the dead letters, by reason.",
            ["stage", "reason"],
        )
        self._late = counter(
            "trustwatch_mentions_late_total", "Mentions that came after their day had closed."
        )
        self._signals = counter(
            "trustwatch_signals_written_total",
            "Signals that were written: alarms raised, escalated, ended or withdrawn.",
            ["detector", "channel"],
        )
        self._expired = counter(
            "trustwatch_posts_expired_total",
            "Posts that the broker's retention removed before they were read.",
        )
        self._batch = histogram(
            "trustwatch_batch_records", "Records in one batch.", ["stage"], buckets=_SIZES
        )
        self._took = histogram(
            "trustwatch_stage_duration_seconds",
            "Time that one batch spent in a step of a stage.",
            ["stage", "step"],
            buckets=_STEPS,
        )
        self._delay = histogram(
            "trustwatch_event_delay_seconds",
            "Time from the creation of a post to its row in the state.",
            buckets=_DELAYS + _LONG_DELAYS,
        )

    def _add_worker(self) -> None:
        gauge = partial(Gauge, registry=self._registry)
        self._hidden = gauge(
            "trustwatch_brands_hidden", "Brands of this worker without series: over the limit."
        )
        self._lag = gauge(
            "trustwatch_consumer_lag_records",
            "Records between this worker's position and the end of the partition.",
            ["topic", "partition"],
        )
        self._rebalances = Counter(
            "trustwatch_rebalances_total",
            "Times that the partitions were handed out anew.",
            registry=self._registry,
        )
        self._recovery = gauge(
            "trustwatch_recovery_remaining_rows", "Rows of the changelog still to be read back."
        )
        self._file_valid = gauge(
            "trustwatch_brands_file_valid", "1: the brands file is in use as it is on disk."
        )
        self._file_loaded = gauge(
            "trustwatch_brands_file_loaded_timestamp_seconds",
            "When the brands in use were loaded.",
        )
        self._running = gauge(
            "trustwatch_stage_running", "1: this worker runs the stage.", ["stage"]
        )
        self._ready = gauge("trustwatch_ready", "1: assigned, recovered and consuming.")
        self._build = gauge(
            "trustwatch_build_info",
            "1, with what this worker is made of.",
            ["version", "model", "faust", "python"],
        )

    def _add_collectors(self) -> None:
        self._errors = Counter(
            "trustwatch_collector_errors_total",
            "Scrapes that had to do without a collector's series.",
            ["collector"],
            registry=self._registry,
        )
        self._seconds = Gauge(
            "trustwatch_collector_duration_seconds",
            "Time that a collector took in the scrape before this one.",
            ["collector"],
            registry=self._registry,
        )
        self.guard("brands", self._board)
        # Both find nothing to say where the system is not the one that they know.
        self.guard("process", ProcessCollector(registry=None))
        self.guard("platform", PlatformCollector(registry=None))

    def guard(self, name: str, collector: Collector) -> None:
        """Register a collector whose failure costs its own series, and not the scrape."""
        errors, seconds = self._errors.labels(name), self._seconds.labels(name)
        self._registry.register(_Guarded(name, collector, errors, seconds))

    def judged(self, posts: int, mentions: int) -> None:
        """Count posts that were judged, and the mentions that came of them."""
        self._judged.inc(posts)
        self._written.inc(mentions)

    def rejected(self, stage: str, reason: str) -> None:
        """Count a record that went to the dead letters; rare reasons beyond 50 become `other`."""
        if reason not in self._reasons:
            if len(self._reasons) < MAX_REASONS:
                self._reasons.add(reason)
            else:
                reason = OTHER
        self._rejected.labels(stage, reason).inc()

    def batch(self, stage: str, size: int) -> None:
        """Note how many records a stage took at once."""
        self._batch.labels(stage).observe(size)

    def took(self, stage: str, step: str, seconds: float) -> None:
        """Note how long a batch spent in a step of a stage."""
        self._took.labels(stage, step).observe(seconds)

    def delayed(self, seconds: float) -> None:
        """Note the time from a post's creation to its row; one dated ahead has no delay."""
        self._delay.observe(max(0.0, seconds))

    def late(self, mentions: int) -> None:
        """Count mentions that came after their day had closed."""
        self._late.inc(mentions)

    def expired(self, posts: int) -> None:
        """Count posts that the broker's retention removed before they were read."""
        self._expired.inc(posts)

    def own(self, brands: Collection[str]) -> None:
        """Show these brands and no others from now on, the first by id if they are too many.

        Call it after each rebalance and each reload of the brands. What is not shown any more is
        gone with the next scrape, so that no brand is shown by two workers.
        """
        self._hidden.set(self._board.own(brands))

    def mentioned(self, brand: str, sentiment: str, *, leak: bool) -> None:
        """Count a mention of a brand; one that is not shown is passed over.

        Raises:
            KeyError: `sentiment` is none of `SENTIMENTS`.
        """
        self._board.mentioned(brand, sentiment, leak=leak)

    def read(self, reading: TrustReading, updated: float) -> None:
        """Keep the latest reading of a brand, made at `updated` (Unix time in seconds)."""
        self._board.read(reading, updated)

    def signalled(self, signal: Signal) -> None:
        """Count a signal that was written."""
        self._signals.labels(signal.detector, signal.channel).inc()

    def alarmed(self, brand: str, signals: Iterable[Signal]) -> None:
        """Show the alarms of a brand that are not over."""
        self._board.alarmed(brand, signals)

    def assigned(self, partitions: Collection[tuple[str, int]]) -> None:
        """Take notice of the partitions, by topic and number, that are this worker's now."""
        self._assigned = frozenset((topic, partition) for topic, partition in partitions)
        for topic, partition in self._lagging - self._assigned:
            self._lag.remove(topic, str(partition))
        self._lagging &= self._assigned

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Note how far behind this worker is; a partition that is another's is passed over."""
        if (topic, partition) in self._assigned:
            self._lagging.add((topic, partition))
            self._lag.labels(topic, str(partition)).set(records)

    def rebalanced(self) -> None:
        """Count that the partitions were handed out anew."""
        self._rebalances.inc()

    def recovering(self, rows: int) -> None:
        """Note how many rows of the changelog are still to be read back; 0: recovered."""
        self._recovery.set(rows)

    def brands_file(self, *, ok: bool, loaded_at: float) -> None:
        """Note whether the brands file on disk is good, and when those in use were loaded."""
        self._file_valid.set(ok)
        self._file_loaded.set(loaded_at)

    def stage(self, name: str, *, started: bool) -> None:
        """Note that a stage runs, or does not run any more."""
        self._running.labels(name).set(started)

    def ready(self, *, is_ready: bool) -> None:
        """Note whether posts are being counted: the same truth as `/readyz`."""
        self._ready.set(is_ready)

    def build(self, *, version: str, model: str, faust: str, python: str) -> None:
        """Say what this worker is made of; a new model takes the place of the old one."""
        self._build.clear()
        self._build.labels(version, model, faust, python).set(1)


class _Guarded(Collector):
    """Collects for another, counts its failures and takes its time."""

    def __init__(self, name: str, inner: Collector, errors: Counter, seconds: Gauge) -> None:
        self._name = name
        self._inner = inner
        self._errors = errors
        self._seconds = seconds

    def describe(self) -> Iterable[Metric]:
        return self.collect()  # names the series, for clashes and for `?name[]=`

    def collect(self) -> Iterable[Metric]:
        begun = time.perf_counter()
        try:
            return list(self._inner.collect())
        except Exception:  # whatever it is, the other series must reach Prometheus
            log.exception("the collector %s failed; its series are left out", self._name)
            self._errors.inc()
            return []
        finally:
            self._seconds.set(time.perf_counter() - begun)


class _Labels(dict[str, str]):
    """Labels of one series, and how they are written: each scrape writes the same."""

    __slots__ = ("text",)

    def __init__(self, **labels: str) -> None:
        super().__init__(labels)
        self.text = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class Family(Metric):
    """Series of one name, one or a few for each brand, that write their own lines.

    The client library's encoder reads them like any other, but takes four times as long: it
    sorts and escapes the labels of each series in each scrape.
    """

    def __init__(
        self, name: str, text: str, values: Iterable[tuple[_Labels, float | None]]
    ) -> None:
        total = name.endswith("_total")
        super().__init__(name.removesuffix("_total"), text, "counter" if total else "gauge")
        self.samples = [
            Sample(name, labels, float(value)) for labels, value in values if value is not None
        ]
        self._full_name = name

    def write(self, *, openmetrics: bool) -> str:
        """Return the family in a text format; OpenMetrics leaves `_total` out of its head."""
        full, named = self._full_name, self.name if openmetrics else self._full_name
        head = f"# HELP {named} {self.documentation}\n# TYPE {named} {self.type}\n"
        lines = [f"{full}{{{it.labels.text}}} {it.value!r}\n" for it in self.samples]  # type: ignore[attr-defined]
        return head + "".join(lines)


class _Tally:
    """What was counted about one brand while it was shown."""

    __slots__ = ("labels", "leaks", "sentiments", "split")

    def __init__(self, brand: str) -> None:
        self.labels = _Labels(brand=brand)
        self.split = {mood: _Labels(brand=brand, sentiment=mood) for mood in SENTIMENTS}
        self.sentiments = dict.fromkeys(SENTIMENTS, 0)
        self.leaks = 0


class _Field(NamedTuple):
    """A series that a reading gives; None: it says nothing about this one."""

    name: str
    help: str
    value: Callable[[TrustReading], float | None]


# Too little evidence is said, never drawn: without it there is no index and no interval.
_READINGS: Final = (
    _Field(
        "trustwatch_trust_index", "Trust index, 0-100.", lambda r: r.index if r.enough else None
    ),
    _Field(
        "trustwatch_trust_index_low",
        "Lower end of the index's interval.",
        lambda r: r.low if r.enough else None,
    ),
    _Field(
        "trustwatch_trust_index_high",
        "Upper end of the index's interval.",
        lambda r: r.high if r.enough else None,
    ),
    _Field("trustwatch_trust_capital", "Trust earned, 0-100.", lambda r: r.capital),
    _Field("trustwatch_trust_mood_loss", "Points that the mood takes away.", lambda r: r.mood_loss),
    _Field(
        "trustwatch_trust_shock_loss",
        "Points that leak stories take away.",
        lambda r: sum(shock.loss for shock in r.shocks),
    ),
    _Field("trustwatch_trust_enough_evidence", "1: the index can be shown.", lambda r: r.enough),
    _Field(
        "trustwatch_last_leak_timestamp_seconds",
        "When the latest post that speaks of a leak was written.",
        lambda r: r.latest_leak.at.timestamp() if r.latest_leak else None,
    ),
    _Field(
        "trustwatch_trust_as_of_timestamp_seconds",
        "Event time of the reading.",
        lambda r: r.at.timestamp(),
    ),
)


class _Board(Collector):
    """The series with a brand label.

    They are kept here and not in labelled counters and gauges: a scrape is quicker so, and a brand
    is shown and hidden without a search through all the others' series.
    """

    def __init__(self, max_brands: int) -> None:
        self._max = max_brands
        self._shown: dict[str, _Tally] = {}
        self._readings: dict[str, tuple[TrustReading, float]] = {}
        self._alarms: dict[str, list[_Labels]] = {}

    def own(self, brands: Collection[str]) -> int:
        """Show the first of these brands; return how many are not."""
        owned = sorted(set(brands))
        shown, old = owned[: self._max], self._shown
        self._shown = {brand: old.get(brand) or _Tally(brand) for brand in shown}
        kept = self._readings
        self._readings = {brand: kept[brand] for brand in owned if brand in kept}
        self._alarms = {brand: self._alarms.get(brand, []) for brand in owned}
        return len(owned) - len(shown)

    def mentioned(self, brand: str, sentiment: str, *, leak: bool) -> None:
        tally = self._shown.get(brand)
        if tally is not None:
            tally.sentiments[sentiment] += 1
            tally.leaks += leak

    def read(self, reading: TrustReading, updated: float) -> None:
        # Also for a brand that is not owned yet: recovery reads before it knows.
        self._readings[reading.brand] = (reading, updated)

    def alarmed(self, brand: str, signals: Iterable[Signal]) -> None:
        self._alarms[brand] = [
            _Labels(brand=brand, detector=one.detector, channel=one.channel)
            for one in {one.detector: one for one in signals if not one.ended}.values()
        ]

    def collect(self) -> Iterable[Metric]:
        tallies, readings = self._shown, self._readings
        yield Family(
            "trustwatch_alarm",
            "1: this detector's alarm about a brand is not over.",
            [(labels, 1) for brand in tallies for labels in self._alarms.get(brand, ())],
        )
        yield Family(
            "trustwatch_mentions_total",
            "Mentions of a brand, by likeliest sentiment.",
            [(t.split[mood], n) for t in tallies.values() for mood, n in t.sentiments.items()],
        )
        yield Family(
            "trustwatch_leak_mentions_total",
            "Mentions of a brand that speak of a leak.",
            [(t.labels, t.leaks) for t in tallies.values()],
        )
        read = [(t.labels, *readings[b]) for b, t in tallies.items() if b in readings]
        for name, text, value in _READINGS:
            yield Family(name, text, [(labels, value(reading)) for labels, reading, _ in read])
        yield Family(
            "trustwatch_trust_updated_timestamp_seconds",
            "When the reading was made.",
            [(labels, updated) for labels, _, updated in read],
        )
