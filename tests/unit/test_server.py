"""The pages of a worker, read over real connections on loopback."""

import errno
import gzip
import http.client
import json
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPMessage
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from streams.errors import InputError
from streams.metrics import Metrics
from streams.server import BEAT_LIMIT, MAX_OPEN, Health, Server

# What Prometheus 2 and 3 ask for, in short.
ASKS = (
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1",
)


@dataclass
class Worker:
    """A worker that is as it is told to be, and the server that tells of it."""

    port: int = 0
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    health: Health | Exception = field(
        default_factory=lambda: Health(state="ready", beat_age=0.5, partitions=4)
    )

    def ask(self) -> Health:
        """Returns or raises what it was told."""
        if isinstance(self.health, Exception):
            raise self.health
        return self.health

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, HTTPMessage, bytes]:
        """Asks for a page; underscores in the names of headers stand for hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def send(self, raw: bytes) -> bytes:
        """Sends bytes as they are; returns all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(raw)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    def probe(self, path: str) -> tuple[int, dict[str, Any]]:
        """Asks for a page of JSON."""
        status, headers, body = self.get(path)
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(body)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    metrics = Metrics(worker.registry)
    metrics.own(["acme", "birke"])
    metrics.mentioned("acme", "negative", leak=True)
    server = Server(worker.registry, host="127.0.0.1", port=0, health=worker.ask, deadline=1.0)
    worker.port = server.start()
    yield worker
    server.stop()


# --- metrics


def test_metrics_are_served_as_text(worker: Worker) -> None:
    status, headers, body = worker.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = [family.name for family in read_text(body.decode())]
    assert "trustwatch_mentions" in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("accept", ASKS)
def test_metrics_are_served_as_openmetrics_to_prometheus(worker: Worker, accept: str) -> None:
    status, headers, body = worker.get("/metrics", Accept=accept)
    assert status == 200
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    found = {
        (sample.name, sample.labels.get("brand")): sample.value
        for family in read_openmetrics(body.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    assert found["trustwatch_leak_mentions_total", "acme"] == 1
    assert found["trustwatch_leak_mentions_total", "birke"] == 0
    assert ("trustwatch_ready", None) in found


@pytest.mark.parametrize("escaping", ["dots", "values"])
def test_a_scheme_that_rewrites_names_rewrites_all_of_them(worker: Worker, escaping: str) -> None:
    accept = f"text/plain;version=1.0.0;escaping={escaping}"
    _, headers, body = worker.get("/metrics", Accept=accept)
    assert headers["Content-Type"].endswith(f"escaping={escaping}")
    names = {line.split("{")[0] for line in body.decode().splitlines() if "acme" in line}
    plain = {"trustwatch_mentions_total", "trustwatch_leak_mentions_total"}
    dotted = {name.replace("_", "__") for name in plain}
    assert names == (dotted if escaping == "dots" else plain)


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=new",
        "text/plain;version=1.x",
        "nonsense;;;=,",
        "a/b;" * 1_000,
    ],
)
def test_an_odd_wish_still_gets_metrics(worker: Worker, accept: str) -> None:
    status, _, body = worker.get("/metrics", Accept=accept)
    assert status == 200
    assert b"trustwatch_ready" in body


def test_a_wish_on_two_lines_brings_no_header_into_the_answer(worker: Worker) -> None:
    answer = worker.send(
        b"GET /metrics HTTP/1.0\r\n"
        b"Accept: application/openmetrics-text;version=1.0.0.a\r\n"
        b" Set-Cookie: evil=1\r\n\r\n"
    )
    head = answer.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.0 200 ")
    assert not [line for line in head.splitlines() if line.strip().startswith(b"Set-Cookie")]


def test_metrics_are_compressed_for_those_who_can_read_it(worker: Worker) -> None:
    _, headers, body = worker.get("/metrics", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert b"trustwatch_ready 0.0" in gzip.decompress(body)


def test_a_scrape_may_ask_for_some_names(worker: Worker) -> None:
    _, _, body = worker.get("/metrics?name[]=trustwatch_ready&name[]=trustwatch_mentions_total")
    names = {line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE")}
    assert names == {"trustwatch_ready", "trustwatch_mentions_total"}


# --- health


def test_a_worker_whose_loop_runs_is_alive(worker: Worker) -> None:
    assert worker.probe("/healthz") == (200, {"status": "healthy", "beat_age": 0.5})


@pytest.mark.parametrize("age", [BEAT_LIMIT, 3_600.0, float("nan"), float("inf")])
def test_a_worker_whose_loop_is_stuck_is_unhealthy_and_unready(worker: Worker, age: float) -> None:
    worker.health = Health(state="ready", beat_age=age, partitions=4)
    reason = f"the event loop has not run for {age:.1f} s"
    assert worker.probe("/healthz") == (503, {"status": "unhealthy", "reason": reason})
    status, answer = worker.probe("/readyz")
    assert (status, answer["reason"], answer["detail"]) == (503, "unhealthy", reason)


def test_a_worker_that_counts_posts_is_ready(worker: Worker) -> None:
    assert worker.probe("/readyz") == (200, {"status": "ready", "partitions": 4})


@pytest.mark.parametrize("state", ["starting", "rebalancing", "recovering", "draining"])
def test_a_worker_that_does_not_is_alive_but_unready(worker: Worker, state: Any) -> None:
    worker.health = Health(state=state, beat_age=0.1, partitions=2, detail="120 rows to go")
    assert worker.probe("/healthz")[0] == 200
    assert worker.probe("/readyz") == (
        503,
        {"status": "not ready", "reason": state, "detail": "120 rows to go", "partitions": 2},
    )


def test_a_worker_without_partitions_is_unready(worker: Worker) -> None:
    worker.health = Health(state="ready", beat_age=0.1, partitions=0)
    status, answer = worker.probe("/readyz")
    assert (status, answer["reason"]) == (503, "no partitions yet")


def test_a_health_that_cannot_be_told_is_no_health(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.health = ZeroDivisionError("no beat")
    with caplog.at_level(logging.ERROR), pytest.raises(http.client.HTTPException):
        worker.get("/healthz")
    assert "a request for metrics or health failed" in caplog.text
    assert worker.get("/metrics")[0] == 200


# --- pages and methods


def test_the_first_page_links_the_others(worker: Worker) -> None:
    status, headers, body = worker.get("/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    for path in (b"/metrics", b"/healthz", b"/readyz"):
        assert b'href="' + path + b'"' in body


@pytest.mark.parametrize(
    "path", ["/metrics/", "/favicon.ico", "/../etc/passwd", "//metrics/x", "http://[/", "*"]
)
def test_there_is_nothing_else(worker: Worker, path: str) -> None:
    answer = worker.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.0 404 ")
    assert answer.endswith(b"\r\n\r\nnot found: see /\n")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/"])
def test_a_head_has_no_body(worker: Worker, path: str) -> None:
    status, headers, body = worker.get(path, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(worker: Worker, method: str) -> None:
    status, headers, _ = worker.get("/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "request_line",
    [b"GET /metrics HTTP/1.0\r\n\r\n", b"NONSENSE\r\n\r\n", b"FOO / HTTP/1.0\r\n\r\n"],
)
def test_no_answer_tells_a_version(worker: Worker, request_line: bytes) -> None:
    head = worker.send(request_line).partition(b"\r\n\r\n")[0].lower()
    assert b"python" not in head
    assert b"basehttp" not in head


# --- clients that mean no good


def hold(worker: Worker) -> socket.socket:
    """Opens a connection that never finishes its request."""
    connection = socket.create_connection(("127.0.0.1", worker.port), timeout=10)
    connection.sendall(b"GET /metrics HT")
    return connection


def test_slow_clients_do_not_hold_up_a_scrape(worker: Worker) -> None:
    slow = [hold(worker) for _ in range(MAX_OPEN + 8)]
    begun = time.monotonic()
    assert worker.get("/metrics")[0] == 200
    assert time.monotonic() - begun < 1
    for connection in slow:
        connection.close()


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(worker: Worker) -> None:
    begun = time.monotonic()
    with hold(worker) as connection:
        connection.settimeout(0.1)
        answer = None
        while answer is None and time.monotonic() - begun < 10:
            try:
                connection.sendall(b"T")
                answer = connection.recv(1_024)
            except TimeoutError:
                continue
            except ConnectionError:
                answer = b""
    assert answer is not None
    assert not answer.startswith(b"HTTP/1.0 200")
    assert 0.5 < time.monotonic() - begun < 5


def test_a_client_that_leaves_early_is_no_fault_of_ours(
    worker: Worker, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            hold(worker).close()
        assert worker.get("/healthz")[0] == 200
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


# --- where it listens


def serve(host: str, port: int) -> Server:
    return Server(CollectorRegistry(), host=host, port=port, health=Worker().ask)


def test_a_taken_port_is_told_with_the_setting_and_the_fix(worker: Worker) -> None:
    expected = rf"metrics\.port = {worker.port} is taken on 127\.0\.0\.1: .*TRUSTWATCH_METRICS_PORT"
    with pytest.raises(InputError, match=expected):
        serve("127.0.0.1", worker.port).start()


def test_a_port_that_needs_privileges_is_told_with_the_fix() -> None:
    refused = PermissionError(errno.EACCES, "Permission denied")
    told = serve("127.0.0.1", 80)._explain(refused)
    assert told == "metrics.port = 80 may not be used by this user: set a port from 1024 on"


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 70 + ".b", "\0"])
def test_an_address_that_is_not_ours_is_told_with_the_setting(host: str) -> None:
    with pytest.raises(InputError, match=r"metrics\.host = .* cannot be listened on"):
        serve(host, 0).start()


def test_a_stopped_server_leaves_its_port_free_and_can_start_again() -> None:
    server = serve("127.0.0.1", 0)
    server.stop()
    port = server.start()
    begun = time.monotonic()
    server.stop()
    server.stop()
    assert time.monotonic() - begun < 2
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    again = serve("127.0.0.1", port)
    assert again.start() == port
    again.stop()


def test_it_listens_on_the_sixth_version_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    server = serve("::1", 0)
    try:
        port = server.start()
    except InputError:
        pytest.skip("this machine has no IPv6 on loopback")
    with socket.create_connection(("::1", port), timeout=5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.recv(1_024).startswith(b"HTTP/1.0 200 ")
    server.stop()
