"""What a worker tells Prometheus."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.registry import Collector

from streams.metrics import MAX_REASONS, Family, Metrics
from streams.records import LatestLeak, Signal, TrustReading

DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
LEAK_AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BY_READING = (
    "trustwatch_trust_index",
    "trustwatch_trust_index_low",
    "trustwatch_trust_index_high",
    "trustwatch_trust_capital",
    "trustwatch_trust_mood_loss",
    "trustwatch_trust_enough_evidence",
    "trustwatch_trust_as_of_timestamp_seconds",
    "trustwatch_trust_updated_timestamp_seconds",
    "trustwatch_last_leak_timestamp_seconds",
)


def reading(brand: str = "acme", *, enough: bool = True, leak: bool = True) -> TrustReading:
    return TrustReading(
        brand=brand,
        at=AT,
        index=61.5,
        low=55.0,
        high=68.0,
        enough=enough,
        capital=70.0,
        mood=-0.2,
        mood_loss=8.5,
        shocks=(),
        negative=3,
        neutral=2,
        positive=1,
        leaks=1 if leak else 0,
        latest_leak=LatestLeak(LEAK_AT, "p1", "bluesky") if leak else None,
        late=0,
        version="1",
    )


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, max_brands=3)


def fill(metrics: Metrics) -> None:
    """Says one thing with each verb."""
    metrics.own(["acme", "birke"])
    metrics.judged(10, 4)
    metrics.rejected("judge", "not_json")
    metrics.batch("judge", 10)
    metrics.took("judge", "classify", 0.02)
    metrics.delayed(0.2)
    metrics.late(1)
    metrics.expired(1)
    metrics.mentioned("acme", "negative", leak=True)
    metrics.read(reading(), updated=1_000.5)
    metrics.signalled(signal())
    metrics.alarmed("acme", [signal()])
    metrics.assigned([("posts", 0)])
    metrics.lag("posts", 0, 12)
    metrics.rebalanced()
    metrics.recovering(5)
    metrics.brands_file(ok=True, loaded_at=900.0)
    metrics.stage("judge", started=True)
    metrics.ready(is_ready=True)
    metrics.build(version="0.1.0", model="bundle 12ab", faust="0.15.3", python="3.11.7")


def signal(*, ended: datetime | None = None) -> Signal:
    at = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    return Signal(
        id="acme/leak/2026-11-23T09:30Z",
        brand="acme",
        at=at,
        detector="leak",
        channel="ticket",
        why="Six people speak of a leak.",
        numbers={"seen": 6.0},
        posts=(),
        moved=(),
        ended=ended,
    )


def brands_of(registry: CollectorRegistry, series: str) -> set[str]:
    return {
        sample.labels["brand"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == series
    }


# --- posts


def test_judged_posts_and_their_mentions_are_counted(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.judged(256, 31)
    metrics.judged(4, 0)
    assert registry.get_sample_value("trustwatch_posts_judged_total") == 260
    assert registry.get_sample_value("trustwatch_mentions_written_total") == 31


def test_a_rejected_record_is_counted_by_stage_and_reason(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.rejected("judge", "not_json")
    metrics.rejected("judge", "not_json")
    labels = {"stage": "judge", "reason": "not_json"}
    assert registry.get_sample_value("trustwatch_posts_rejected_total", labels) == 2


def test_reasons_beyond_the_limit_are_counted_together(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    for number in range(MAX_REASONS + 7):
        metrics.rejected("judge", f"reason_{number}")
    metrics.rejected("judge", "reason_0")

    def count(reason: str) -> float | None:
        labels = {"stage": "judge", "reason": reason}
        return registry.get_sample_value("trustwatch_posts_rejected_total", labels)

    assert count("reason_0") == 2
    assert count(f"reason_{MAX_REASONS - 1}") == 1
    assert count(f"reason_{MAX_REASONS}") is None
    assert count("other") == 7


@pytest.mark.parametrize("ahead", [-3.0, float("nan")])
def test_a_post_dated_ahead_has_no_delay(
    registry: CollectorRegistry, metrics: Metrics, ahead: float
) -> None:
    metrics.delayed(ahead)
    metrics.delayed(0.25)
    assert registry.get_sample_value("trustwatch_event_delay_seconds_sum") == 0.25
    assert registry.get_sample_value("trustwatch_event_delay_seconds_count") == 2


def test_a_step_of_a_stage_has_a_histogram_without_brand(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.took("judge", "classify", 0.02)
    labels = {"stage": "judge", "step": "classify"}
    assert registry.get_sample_value("trustwatch_stage_duration_seconds_sum", labels) == 0.02
    upto = labels | {"le": "0.025"}
    assert registry.get_sample_value("trustwatch_stage_duration_seconds_bucket", upto) == 1


def test_no_series_tells_when_it_was_created(registry: CollectorRegistry, metrics: Metrics) -> None:
    fill(metrics)
    names = {sample.name for family in registry.collect() for sample in family.samples}
    assert "trustwatch_posts_judged_total" in names
    assert not {name for name in names if name.endswith("_created")}


# --- brands


def test_a_brand_is_counted_from_zero_on_before_its_first_leak(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.own(["acme"])
    series = "trustwatch_leak_mentions_total"
    assert registry.get_sample_value(series, {"brand": "acme"}) == 0
    for sentiment in ("negative", "neutral", "positive"):
        labels = {"brand": "acme", "sentiment": sentiment}
        assert registry.get_sample_value("trustwatch_mentions_total", labels) == 0

    metrics.mentioned("acme", "negative", leak=True)
    metrics.mentioned("acme", "negative", leak=False)
    assert registry.get_sample_value(series, {"brand": "acme"}) == 1
    labels = {"brand": "acme", "sentiment": "negative"}
    assert registry.get_sample_value("trustwatch_mentions_total", labels) == 2


def test_an_unknown_sentiment_is_an_error(metrics: Metrics) -> None:
    metrics.own(["acme"])
    with pytest.raises(KeyError, match="angry"):
        metrics.mentioned("acme", "angry", leak=False)


def test_a_reading_is_exported_as_it_is(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.own(["acme"])
    metrics.read(reading(), updated=1_000.5)
    found = {name: registry.get_sample_value(name, {"brand": "acme"}) for name in BY_READING}
    assert found == {
        "trustwatch_trust_index": 61.5,
        "trustwatch_trust_index_low": 55.0,
        "trustwatch_trust_index_high": 68.0,
        "trustwatch_trust_capital": 70.0,
        "trustwatch_trust_mood_loss": 8.5,
        "trustwatch_trust_enough_evidence": 1.0,
        "trustwatch_trust_as_of_timestamp_seconds": AT.timestamp(),
        "trustwatch_trust_updated_timestamp_seconds": 1_000.5,
        "trustwatch_last_leak_timestamp_seconds": LEAK_AT.timestamp(),
    }


def test_too_little_evidence_is_said_and_not_drawn(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.own(["acme"])
    metrics.read(reading(), updated=1.0)
    metrics.read(reading(enough=False), updated=2.0)
    found = {name: registry.get_sample_value(name, {"brand": "acme"}) for name in BY_READING}
    absent = {name for name, value in found.items() if value is None}
    assert absent == {
        "trustwatch_trust_index",
        "trustwatch_trust_index_low",
        "trustwatch_trust_index_high",
    }
    assert found["trustwatch_trust_enough_evidence"] == 0


def test_no_leak_has_no_time(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.own(["acme"])
    metrics.read(reading(leak=False), updated=1.0)
    assert brands_of(registry, "trustwatch_trust_index") == {"acme"}
    assert brands_of(registry, "trustwatch_last_leak_timestamp_seconds") == set()


def test_a_brand_that_moves_away_takes_all_its_series_along(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.own(["acme", "birke"])
    for brand in ("acme", "birke"):
        metrics.read(reading(brand), updated=1.0)
        metrics.mentioned(brand, "neutral", leak=False)
    metrics.own(["birke"])
    assert b'brand="acme"' not in generate_latest(registry)
    kept = {"brand": "birke", "sentiment": "neutral"}
    assert registry.get_sample_value("trustwatch_mentions_total", kept) == 1
    assert brands_of(registry, "trustwatch_trust_index") == {"birke"}


def test_a_brand_that_comes_back_starts_anew(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.own(["acme"])
    metrics.read(reading(), updated=1.0)
    metrics.mentioned("acme", "neutral", leak=True)
    metrics.own([])
    metrics.own(["acme"])
    assert registry.get_sample_value("trustwatch_leak_mentions_total", {"brand": "acme"}) == 0
    # The reading may be another worker's by now: an old one is no longer true.
    assert brands_of(registry, "trustwatch_trust_index") == set()


def test_what_is_another_workers_is_passed_over(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.own(["acme"])
    metrics.mentioned("birke", "negative", leak=True)
    metrics.read(reading("birke"), updated=1.0)
    assert b"birke" not in generate_latest(registry)


def test_a_reading_from_recovery_is_shown_once_the_brand_is_owned(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.read(reading(), updated=1.0)
    metrics.own(["acme"])
    assert brands_of(registry, "trustwatch_trust_index") == {"acme"}


def test_brands_over_the_limit_are_hidden_and_their_number_is_told(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    for brand in "abcde":
        metrics.read(reading(brand), updated=1.0)
    metrics.own(list("edcba"))
    assert brands_of(registry, "trustwatch_trust_index") == set("abc")
    assert brands_of(registry, "trustwatch_mentions_total") == set("abc")
    assert registry.get_sample_value("trustwatch_brands_hidden") == 2

    metrics.own(list("bcd"))
    assert brands_of(registry, "trustwatch_trust_index") == set("bcd")
    assert registry.get_sample_value("trustwatch_brands_hidden") == 0


# --- the worker


def test_lag_is_that_of_the_assigned_partitions(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.assigned([("posts", 0), ("posts", 1)])
    for partition in range(3):
        metrics.lag("posts", partition, 10 + partition)

    def lag(partition: int) -> float | None:
        labels = {"topic": "posts", "partition": str(partition)}
        return registry.get_sample_value("trustwatch_consumer_lag_records", labels)

    assert [lag(number) for number in range(3)] == [10, 11, None]
    metrics.assigned([("posts", 1)])
    metrics.lag("posts", 0, 99)
    assert [lag(number) for number in range(3)] == [None, 11, None]


def test_a_new_model_takes_the_place_of_the_old_one(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    for model in ("a", "b"):
        metrics.build(version="0.1.0", model=model, faust="0.15.3", python="3.11.7")
    models = [
        sample.labels["model"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "trustwatch_build_info"
    ]
    assert models == ["b"]


def test_the_state_of_the_worker_is_told(registry: CollectorRegistry, metrics: Metrics) -> None:
    fill(metrics)
    metrics.ready(is_ready=False)
    metrics.stage("follow", started=False)
    metrics.brands_file(ok=False, loaded_at=900.0)
    expected = {
        "trustwatch_ready": 0,
        "trustwatch_rebalances_total": 1,
        "trustwatch_recovery_remaining_rows": 5,
        "trustwatch_brands_file_valid": 0,
        "trustwatch_brands_file_loaded_timestamp_seconds": 900,
        "trustwatch_mentions_late_total": 1,
        "trustwatch_posts_expired_total": 1,
    }
    assert {name: registry.get_sample_value(name) for name in expected} == expected
    running = "trustwatch_stage_running"
    assert registry.get_sample_value(running, {"stage": "judge"}) == 1
    assert registry.get_sample_value(running, {"stage": "follow"}) == 0


# --- collectors


class Broken(Collector):
    """Collects once, when it is registered, and never again."""

    def __init__(self) -> None:
        self.calls = 0

    def collect(self) -> Iterable[Metric]:
        """Returns nothing, then raises."""
        self.calls += 1
        if self.calls > 1:
            raise ZeroDivisionError("no brands")
        return []


def test_a_collector_that_fails_costs_its_own_series_alone(
    registry: CollectorRegistry, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.guard("broken", Broken())
    fill(metrics)
    assert b"trustwatch_trust_index{" in generate_latest(registry)
    errors = "trustwatch_collector_errors_total"
    assert registry.get_sample_value(errors, {"collector": "broken"}) == 1
    assert registry.get_sample_value(errors, {"collector": "brands"}) == 0
    assert "broken failed" in caplog.text


def test_a_reading_that_cannot_be_drawn_leaves_the_scrape_alive(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    fill(metrics)
    metrics.read(reading("birke"), updated="yesterday")  # type: ignore[arg-type]
    generate_latest(registry)
    text = generate_latest(registry).decode()
    assert 'trustwatch_collector_errors_total{collector="brands"} 1.0' in text
    assert "trustwatch_posts_judged_total 10.0" in text


def test_the_time_of_a_collector_is_told(registry: CollectorRegistry, metrics: Metrics) -> None:
    fill(metrics)
    generate_latest(registry)
    series = "trustwatch_collector_duration_seconds"
    for name in ("brands", "process", "platform"):
        seconds = registry.get_sample_value(series, {"collector": name})
        assert seconds is not None
        assert 0 < seconds < 5


def test_a_registry_holds_one_worker_only(registry: CollectorRegistry, metrics: Metrics) -> None:
    assert metrics is not None
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Metrics(registry)


def test_scrapes_are_whole_while_brands_come_and_go(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    stop = threading.Event()
    failures: list[float | None] = []

    def scrape() -> None:
        while not stop.is_set():
            generate_latest(registry)
        failures.append(
            registry.get_sample_value("trustwatch_collector_errors_total", {"collector": "brands"})
        )

    thread = threading.Thread(target=scrape)
    thread.start()
    end = time.monotonic() + 0.5
    number = 0
    while time.monotonic() < end:
        number += 1
        brands = [f"b{(number + offset) % 7}" for offset in range(4)]
        metrics.own(brands)
        for brand in brands:
            metrics.read(reading(brand), updated=1.0)
            metrics.mentioned(brand, "neutral", leak=False)
    stop.set()
    thread.join(timeout=10)
    assert failures == [0.0]


# --- formats


class Only(Collector):
    """A registry of these families."""

    def __init__(self, families: list[Family]) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        """Returns them."""
        return self.families


def series(families: Iterable[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("brand", ["acme", 'quo"te', "back\\slash", "line\nbreak", "Ünï"])
def test_a_family_writes_what_the_client_library_would(metrics: Metrics, brand: str) -> None:
    metrics.own([brand])
    metrics.read(reading(brand), updated=1_795_426_200.25)
    metrics.mentioned(brand, "positive", leak=True)
    metrics.mentioned(brand, "positive", leak=False)
    families = [it for it in metrics._board.collect() if isinstance(it, Family)]
    assert len(families) == 13

    text = "".join(family.write(openmetrics=False) for family in families)
    assert series(read_text(text)) == series(read_text(generate_latest(Only(families)).decode()))
    heads = [line for line in text.splitlines() if line.startswith("#")]
    whole = generate_latest(Only(families)).decode().splitlines()
    assert heads == [line for line in whole if line.startswith("#")]

    text = "".join(family.write(openmetrics=True) for family in families) + "# EOF\n"
    whole_text = generate_openmetrics(Only(families)).decode()  # type: ignore[no-untyped-call]
    theirs = series(read_openmetrics(whole_text))  # type: ignore[no-untyped-call]
    assert series(read_openmetrics(text)) == theirs  # type: ignore[no-untyped-call]
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == [line for line in whole_text.splitlines() if line.startswith("#")]


def test_a_thousand_brands_are_collected_in_a_fraction_of_a_second() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    brands = [f"brand-{number:04}" for number in range(1_000)]
    metrics.own(brands)
    for brand in brands:
        metrics.read(reading(brand), updated=1.0)
    begun = time.thread_time()
    families = list(registry.collect())
    text = "".join(it.write(openmetrics=False) for it in families if isinstance(it, Family))
    spent = time.thread_time() - begun
    assert text.count("\n") == 14_000 + 2 * 13
    # It takes 0.015 s; the limit is for slow machines and sees what is not in proportion.
    assert spent < 0.25


# --- alarms


def test_an_alarm_is_shown_until_it_ends(registry: CollectorRegistry, metrics: Metrics) -> None:
    labels = {"brand": "acme", "detector": "leak", "channel": "ticket"}
    metrics.own(["acme"])
    metrics.alarmed("acme", [signal()])
    assert registry.get_sample_value("trustwatch_alarm", labels) == 1.0
    metrics.alarmed("acme", [signal(ended=datetime(2026, 11, 23, 12, tzinfo=UTC))])
    assert registry.get_sample_value("trustwatch_alarm", labels) is None


def test_alarms_of_brands_that_moved_away_are_not_shown(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.own(["acme"])
    metrics.alarmed("acme", [signal()])
    metrics.own(["birke"])
    metrics.own(["acme"])
    assert brands_of(registry, "trustwatch_alarm") == set()


# --- the names and their documentation


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        missing = "promtool is missing: install Debian's package prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def test_prometheus_finds_no_fault_with_the_names(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    fill(metrics)
    done = subprocess.run(
        [promtool(), "check", "metrics"],
        input=generate_latest(registry),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    row = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([\w, ]*)\|", re.MULTILINE)
    return {
        name: (kind, frozenset(labels.replace(",", " ").split()))
        for name, kind, labels in row.findall(DOCS.read_text("utf-8"))
    }


def exported(registry: CollectorRegistry) -> dict[str, tuple[str, frozenset[str]]]:
    found = {}
    for family in registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert family.samples, f"{name}: say something in fill()"
        found[name] = (family.type, frozenset(labels))
    return found


def test_the_documentation_lists_every_series_and_no_other(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    fill(metrics)
    ours, theirs = documented(), exported(registry)
    if sys.platform != "linux":
        ours = {name: it for name, it in ours.items() if not name.startswith("process_")}
    assert ours == theirs


def test_every_series_has_one_prefix_and_a_text(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    fill(metrics)
    for family in registry.collect():
        assert family.name.startswith(("trustwatch_", "process_", "python_"))
        assert family.documentation.endswith((".", "information"))
