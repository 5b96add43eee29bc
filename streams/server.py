"""The HTTP thread of a worker: metrics for Prometheus, liveness and readiness for who runs it.

It is the standard library's server, on a thread of its own so that a busy event loop is seen and
not shared. The client library's own server answers any path with a scrape, has no time limit for
a slow client and no page for health.
"""

import contextlib
import errno
import gzip
import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from email.message import Message
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qs

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.metrics_core import Metric

from streams.errors import InputError
from streams.metrics import Family

log = logging.getLogger(__name__)

BEAT_LIMIT: Final = 10.0
"""Seconds without a beat after which the event loop counts as stuck; it beats every second."""
DEADLINE: Final = 10.0
"""Seconds after which a connection is cut, however busy it looks."""
MAX_OPEN: Final = 32
"""Most connections at a time; one more cuts off the oldest."""

_POLL = 0.2
# Schemes that change even plain names; nobody is known to ask for them.
_REWRITTEN = ("escaping=dots", "escaping=values")
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_HOME = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Trustwatch worker</title>
<h1>Trustwatch worker</h1>
<ul>
<li><a href="/metrics">/metrics</a>: for Prometheus</li>
<li><a href="/healthz">/healthz</a>: whether the worker is alive</li>
<li><a href="/readyz">/readyz</a>: whether it counts posts</li>
</ul>
</html>
"""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is, by its own account."""

    state: Literal["starting", "rebalancing", "recovering", "ready", "draining"]
    beat_age: float
    """Seconds since the event loop last ran what it had promised to run."""
    partitions: int
    """Number of partitions that it consumes."""
    detail: str = ""
    """More about the state, for people; shown to whoever asks."""


class Server:
    """Serves `/metrics`, `/healthz` and `/readyz` until stopped.

    Args:
        registry: what is exported.
        host: the setting `metrics.host`.
        port: the setting `metrics.port`; 0 takes any free one.
        health: asked for each probe, on a thread of the server's.
        deadline: seconds that one connection may take in all.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        host: str,
        port: int,
        health: Callable[[], Health],
        deadline: float = DEADLINE,
    ) -> None:
        self._registry = registry
        self._host = host
        self._port = port
        self._health = health
        self._deadline = deadline
        self._listener: _Listener | None = None

    def start(self) -> int:
        """Listen; return the port.

        Raises:
            InputError: nobody can listen there; the text names the setting and what to do.
        """
        try:
            self._listener = _Listener(self._host, self._port, self._page, self._deadline)
        except (OSError, ValueError) as error:
            raise InputError(self._explain(error)) from error
        serve = partial(self._listener.serve_forever, poll_interval=_POLL)
        threading.Thread(target=serve, name="metrics", daemon=True).start()
        return int(self._listener.server_address[1])

    def stop(self) -> None:
        """Listen no more. A server that does not listen is left as it is."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown()
            listener.server_close()

    def _page(self, target: str, headers: Message) -> "Page":
        path, _, query = target.partition("?")
        if path == "/metrics":
            return _scrape(self._registry, query, headers)
        if path == "/healthz":
            return self._alive()
        if path == "/readyz":
            return self._readiness()
        if path == "/":
            return Page(HTTPStatus.OK, _HTML, _HOME)
        return Page(HTTPStatus.NOT_FOUND, _TEXT, b"not found: see /\n")

    def _alive(self) -> "Page":
        health = self._health()
        if reason := _stuck(health):
            return _answer(ok=False, status="unhealthy", reason=reason)
        return _answer(ok=True, status="healthy", beat_age=health.beat_age)

    def _readiness(self) -> "Page":
        health = self._health()
        reason, detail = _unready(health)
        if not reason:
            return _answer(ok=True, status="ready", partitions=health.partitions)
        return _answer(
            ok=False,
            status="not ready",
            reason=reason,
            detail=detail,
            partitions=health.partitions,
        )

    def _explain(self, error: OSError | ValueError) -> str:
        code = error.errno if isinstance(error, OSError) else None
        port = f"metrics.port = {self._port}"
        if code == errno.EADDRINUSE:
            return (
                f"{port} is taken on {self._host}: stop the program that listens there, or set "
                "another port (TRUSTWATCH_METRICS_PORT; 0 takes any free one)"
            )
        if code in {errno.EACCES, errno.EPERM}:
            return f"{port} may not be used by this user: set a port from 1024 on"
        why = (error.strerror if isinstance(error, OSError) else None) or "it is no host name"
        return (
            f"metrics.host = {self._host} cannot be listened on ({why}): set an address of this "
            "machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
        )


class Page(NamedTuple):
    """An answer, but for what each answer has."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def _stuck(health: Health) -> str:
    """Return why the worker is unhealthy; an empty string if it is not."""
    # Asked this way round, an age that is not a number is no sign of life.
    if health.beat_age < BEAT_LIMIT:
        return ""
    return f"the event loop has not run for {health.beat_age:.1f} s"


def _unready(health: Health) -> tuple[str, str]:
    """Return why the worker is not ready, and more about it; two empty strings if it is."""
    if stuck := _stuck(health):
        return "unhealthy", stuck
    if health.state != "ready":
        return health.state, health.detail
    return ("", "") if health.partitions else ("no partitions yet", health.detail)


def _answer(*, ok: bool, **fields: Any) -> Page:
    status = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(status, _JSON, msgspec.json.encode(fields) + b"\n")


class _Families(NamedTuple):
    """What a scrape collected, in the shape that the client library's encoders read."""

    families: list[Metric]

    def collect(self) -> list[Metric]:
        return self.families


def _scrape(registry: CollectorRegistry, query: str, headers: Message) -> Page:
    encode, content_type = _encoder(headers.get("Accept", ""))
    names = parse_qs(query).get("name[]")
    asked = registry.restricted_registry(names) if names else registry
    body = _write(list(asked.collect()), encode, content_type)
    if not gzip_accepted(headers.get("Accept-Encoding", "")):
        return Page(HTTPStatus.OK, content_type, body)
    # The lowest level: higher ones take more time than the network saves.
    body = gzip.compress(body, compresslevel=1)
    return Page(HTTPStatus.OK, content_type, body, (("Content-Encoding", "gzip"),))


def _encoder(accept: str) -> tuple[Callable[[Any], bytes], str]:
    """Choose the format as the client library does."""
    try:
        # The version asked for is repeated in the answer: a folded header must not break its line.
        return choose_encoder(" ".join(accept.split()))
    except TypeError:  # a version with letters in it, which cannot be compared
        return choose_encoder("")


def _write(families: list[Metric], encode: Callable[[Any], bytes], content_type: str) -> bytes:
    """Encode the families; those that write themselves come first, as the end has its own line."""
    if content_type.endswith(_REWRITTEN):
        return encode(_Families(families))
    openmetrics = content_type.startswith("application/openmetrics-text")
    quick = [it.write(openmetrics=openmetrics) for it in families if isinstance(it, Family)]
    rest = [it for it in families if not isinstance(it, Family)]
    return "".join(quick).encode() + encode(_Families(rest))


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Accepts connections, each on a thread of its own, none for longer than the deadline.

    `http.server.HTTPServer` would ask the name service for our own name, which can take seconds.
    """

    allow_reuse_address = True
    allow_reuse_port = False
    daemon_threads = True
    # Room for a burst: a connection that finds no place tries again a second later.
    request_queue_size = 128

    def __init__(
        self,
        host: str,
        port: int,
        page: Callable[[str, Message], Page],
        deadline: float,
    ) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        self.page = page
        self._deadline = deadline
        self._open: dict[Any, float] = {}
        super().__init__(address[:2], _Handler)  # type: ignore[arg-type]

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open[request] = time.monotonic()
        for oldest in list(self._open)[:-MAX_OPEN]:
            self._cut(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut the connections that are over their time: a byte now and then keeps none open."""
        limit = time.monotonic() - self._deadline
        for request, since in list(self._open.items()):
            if since < limit:
                self._cut(request)

    def _cut(self, request: Any) -> None:
        """Make the connection's thread see the end of it; the thread does the rest."""
        self._open.pop(request, None)
        with contextlib.suppress(OSError):  # it has just ended by itself
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("a client left or was cut off: %s", error)
        else:
            log.error("a request for metrics or health failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request of a connection, and closes it."""

    timeout = 5.0
    error_content_type = _TEXT
    error_message_format = "%(code)d %(message)s\n"
    server: _Listener

    def do_GET(self) -> None:
        self._send(self.server.page(self.path, self.headers))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _refuse(self) -> None:
        allowed = (("Allow", "GET, HEAD"),)
        text = b"only GET and HEAD are answered\n"
        self._send(Page(HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, text, allowed))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815 - the base class's names

    def _send(self, page: Page) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in page.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def version_string(self) -> str:
        return "trustwatch"

    def log_message(self, *_: Any, **__: Any) -> None:
        """Log nothing: a probe every few seconds is no news."""
