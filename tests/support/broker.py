"""Real brokers as child processes: Apache Kafka (Java) and the embedded one, with the same verbs.

    with Kafka(folder) as broker:
        ...  # broker.bootstrap is "127.0.0.1:PORT"
        broker.kill()  # SIGKILL
        broker.restart()  # the same port and data

Both listen on loopback only and die with the process that started them, even if that is killed.
"""

import atexit
import os
import random
import shutil
import signal
import socket
import string
import struct
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, Self, TypedDict

VERSION: Final = "4.1.1"
ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = ROOT / "tests" / "kafka"
# Below the range from which Linux takes the ports of outgoing connections: a client that retries
# a dead broker's port could otherwise be given that very port, and be connected to itself.
PORTS: Final = range(15_000, 32_000)
USERS: Final = {
    "PLAIN": ("paula", "plain-secret"),
    "SCRAM-SHA-256": ("sara", "scram-secret-256"),
    "SCRAM-SHA-512": ("simon", "scram-secret-512"),
}
Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class UnavailableError(RuntimeError):
    """The broker cannot run on this machine; the text says what to install."""


class BrokenError(RuntimeError):
    """The broker did not start or ended by itself; the text holds the end of its log."""


class Security(TypedDict):
    """What a client needs to reach a secured listener."""

    protocol: Protocol
    ca_file: Path | None
    users: dict[str, tuple[str, str]]
    """Name and password by SASL mechanism; empty without SASL."""


def ports(count: int) -> list[int]:
    """Returns free ports on loopback, different from one another."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", random.choice(PORTS)))
            except OSError:
                candidate.close()
            else:
                held.append(candidate)
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def answers(port: int, timeout: float = 2.0) -> bool:
    """Says whether a broker replies to an ApiVersions request, not only whether the port is open.

    A stopped process (SIGSTOP) still accepts connections: the kernel does that for it.
    """
    request = struct.pack(">hhih", 18, 0, 7, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as client:
            client.settimeout(timeout)
            client.sendall(struct.pack(">i", len(request)) + request)
            head = client.recv(8, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == 8 and struct.unpack(">ii", head)[1] == 7


class Server(ABC):
    """A broker process: started, frozen, killed and started again on the same port and data.

    Attributes:
        folder: where data, configuration and `broker.log` lie; the caller removes it.
        bootstrap: the address for clients.
    """

    def __init__(self, folder: Path, *, port: int) -> None:
        self.folder = folder
        self.port = port
        self.bootstrap = f"127.0.0.1:{port}"
        self.log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _prepare(self) -> None:
        """Writes what the first start needs; called before every start."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Returns the command line of the broker."""

    def _probe(self) -> int:
        """Returns the port where a request without credentials is answered."""
        return self.port

    @property
    def pid(self) -> int:
        """The process id of the broker."""
        if self._process is None:
            msg = "the broker is not running: call start() first"
            raise BrokenError(msg)
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Starts the process and returns at once.

        Raises:
            UnavailableError: something that it needs is not installed.
        """
        if self.running:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        self._prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the tests, not for it
            )
        self._watch()
        return self

    def wait(self, timeout: float = 60.0) -> Self:
        """Returns when the broker answers.

        Raises:
            BrokenError: the process ended, or gave no answer in time.
        """
        end = time.monotonic() + timeout
        while not answers(self._probe()):
            if not self.running:
                raise BrokenError(f"the broker ended by itself:\n{self.tail()}")
            if time.monotonic() > end:
                raise BrokenError(f"no answer from the broker in {timeout:g} s:\n{self.tail()}")
            time.sleep(0.1)
        return self

    def kill(self) -> None:
        """Ends the process with SIGKILL, at whatever it is doing; the data stay."""
        self._end(signal.SIGKILL, timeout=30)

    def stop(self, timeout: float = 20.0) -> None:
        """Ends the process in good order, or with SIGKILL when that takes too long."""
        if self.running:
            self.resume()
            self._end(signal.SIGTERM, timeout=timeout)
        if self.running:
            self.kill()

    def pause(self) -> None:
        """Freezes the process with SIGSTOP: connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continues a frozen process."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> Self:
        """Stops the process if it runs, starts it again and waits for its answer."""
        self.stop()
        return self.start().wait()

    def tail(self, size: int = 2_000) -> str:
        """Returns the end of the log."""
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""

    def __enter__(self) -> Self:
        """Starts the broker and waits for its answer."""
        try:
            return self.start().wait()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_: object) -> None:
        """Stops it."""
        self.stop()

    def _watch(self) -> None:
        """Ties the broker's life to ours.

        A shell reads from a pipe that we hold: a line releases it, and our end, even by SIGKILL,
        closes the pipe. PR_SET_PDEATHSIG would do without it, but follows the starting thread.
        """
        script = 'read -r _ || kill -KILL "$1"'
        self._guard = subprocess.Popen(
            ["sh", "-c", script, "sh", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.kill)

    def _end(self, sign: signal.Signals, *, timeout: float) -> None:
        if self._process is None:
            return
        # The guard goes first: it must never hold the id of a process that is gone.
        if self._guard is not None:
            self._guard.communicate(b"\n")
            self._guard = None
            atexit.unregister(self.kill)
        self._process.send_signal(sign)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return
        self._process = None


class Kafka(Server):
    """One Apache Kafka node from Maven Central's jars, broker and controller in one process."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        heap: str = "512M",
        sasl: bool = False,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Describes a broker; `start` runs it.

        Args:
            folder: where its data, configuration and log go.
            port: the clients' port; a free one if not given.
            heap: the Java heap, such as `1G`.
            sasl: clients must log in as one of `USERS`.
            tls: clients must speak TLS; `security["ca_file"]` is the authority to trust.
            settings: lines of `server.properties` on top of the template's.
        """
        client, self._internal, self._controller = ports(3)
        super().__init__(folder, port=port or client)
        self._heap = heap
        self._settings = dict(settings or {})
        self._tls = tls
        self.security: Security = {
            "protocol": _protocol(sasl=sasl, tls=tls),
            "ca_file": folder / "tls" / "ca.crt" if tls else None,
            "users": dict(USERS) if sasl else {},
        }

    @staticmethod
    def install() -> Path:
        """Fetches the jars once and returns their folder.

        Raises:
            UnavailableError: Java or Maven is missing, or Maven could not fetch the jars.
        """
        home = ROOT / ".cache" / f"kafka-{VERSION}"
        pom, copy = FILES / "pom.xml", home / "pom.xml"
        _require("java", "default-jre-headless")
        if copy.exists() and copy.read_bytes() == pom.read_bytes():
            return home / "lib"
        _require("mvn", "maven")
        fresh = home.with_name(f"{home.name}.{os.getpid()}")
        _fetch(pom, fresh / "lib")
        shutil.copy(pom, fresh)
        _swap(fresh, home)
        return home / "lib"

    def _prepare(self) -> None:
        self._jars = self.install()
        if (self.folder / "server.properties").exists():
            return
        shutil.copy(FILES / "log4j2.yaml", self.folder)
        if self._tls:
            _certify(self.folder / "tls")
        (self.folder / "server.properties").write_text(self._properties())
        self._format()

    def _command(self) -> Sequence[str]:
        return self._java("kafka.Kafka", "server.properties")

    def _probe(self) -> int:
        return self._internal

    def _java(self, main: str, *arguments: str) -> list[str]:
        flags = [f"-Xmx{self._heap}", "-Dlog4j2.configurationFile=log4j2.yaml"]
        return ["java", *flags, "-cp", f"{self._jars}/*", main, *arguments]

    def _properties(self) -> str:
        filled = string.Template((FILES / "server.properties").read_text()).substitute(
            client=self.port,
            internal=self._internal,
            controller=self._controller,
            protocol=self.security["protocol"],
            data=self.folder / "data",
        )
        extra = {**self._sasl_lines(), **self._tls_lines(), **self._settings}
        return filled + "".join(f"{key}={value}\n" for key, value in extra.items())

    def _sasl_lines(self) -> dict[str, str]:
        users = self.security["users"]
        if not users:
            return {}
        name, password = users["PLAIN"]
        modules = "org.apache.kafka.common.security"
        scram = f"{modules}.scram.ScramLoginModule required;"
        return {
            "listener.name.client.sasl.enabled.mechanisms": ",".join(users),
            "listener.name.client.plain.sasl.jaas.config": (
                f'{modules}.plain.PlainLoginModule required user_{name}="{password}";'
            ),
            "listener.name.client.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.client.scram-sha-512.sasl.jaas.config": scram,
        }

    def _tls_lines(self) -> dict[str, str]:
        if not self._tls:
            return {}
        return {
            "listener.name.client.ssl.keystore.type": "PEM",
            "listener.name.client.ssl.keystore.location": str(self.folder / "tls" / "server.pem"),
        }

    def _format(self) -> None:
        tool = ["kafka.tools.StorageTool", "format", "-t", "dHJ1c3R3YXRjaC10ZXN0cw"]
        scram = [
            argument
            for mechanism, (name, password) in self.security["users"].items()
            if mechanism.startswith("SCRAM")
            for argument in ("-S", f"{mechanism}=[name={name},password={password}]")
        ]
        # It runs for a second: the compiler that optimises would cost more than it gains.
        java, *rest = self._java(*tool, "-c", "server.properties", *scram)
        _run([java, "-XX:TieredStopAtLevel=1", *rest], self.folder)


class Embedded(Server):
    """The embedded broker of the extra `demo`: one small binary, for quick tests.

    Version 0.2 never evicts a dead group member: after a SIGKILL a worker must come back with the
    same `group.instance.id`. And it writes to disk about once a second: `kill` loses the last one.
    """

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        super().__init__(folder, port=port or ports(1)[0])

    def _prepare(self) -> None:
        self._binary()

    def _command(self) -> Sequence[str]:
        place = ["--data-dir", str(self.folder / "data"), "--kafka-port", str(self.port)]
        return [str(self._binary()), "start", "--only", "kafka", *place]

    @staticmethod
    def _binary() -> Path:
        spec = find_spec("noida_db")
        if spec is None or spec.origin is None:
            raise UnavailableError("the embedded broker is missing: install the extra `demo`")
        return Path(spec.origin).with_name("noida-db")


def _protocol(*, sasl: bool, tls: bool) -> Protocol:
    if sasl:
        return "SASL_SSL" if tls else "SASL_PLAINTEXT"
    return "SSL" if tls else "PLAINTEXT"


def _require(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise UnavailableError(
            f"`{program}` is missing: Apache Kafka needs Java 17 or newer, and Maven for its jars "
            f"(on Debian: apt-get install {package})"
        )


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokenError(f"{command[0]} failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")


def _fetch(pom: Path, target: Path) -> None:
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    place = [f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    try:
        _run(["mvn", "-q", "-B", "-f", str(pom), goal, *place], FILES)
    except BrokenError as error:
        shutil.rmtree(target.parent, ignore_errors=True)
        raise UnavailableError(f"the jars of Apache Kafka could not be fetched: {error}") from error


def _swap(fresh: Path, home: Path) -> None:
    """Puts a finished folder in place; when another process was faster, its folder stays."""
    old = home.with_name(f"{home.name}.{os.getpid()}.old")
    if home.exists():
        home.rename(old)
    try:
        fresh.rename(home)
    except OSError:
        shutil.rmtree(fresh)
    shutil.rmtree(old, ignore_errors=True)


def _certify(folder: Path) -> None:
    """Makes an authority and a certificate for 127.0.0.1 that it signed, good for two days."""
    _require("openssl", "openssl")
    folder.mkdir()
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-x509", "-days", "2"]
    ca = ["-subj", "/CN=Trustwatch test authority", "-keyout", "ca.key", "-out", "ca.crt"]
    _run([*new, *ca], folder)
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
    _run([*new, *signed, *names, *leaf, "-keyout", "server.key", "-out", "server.crt"], folder)
    parts = [folder / "server.key", folder / "server.crt"]
    (folder / "server.pem").write_text("".join(part.read_text() for part in parts))


def main() -> int:
    """Fetches the jars ahead of the tests; without Java the tests say so themselves."""
    try:
        Kafka.install()
    except UnavailableError as error:
        print(f"{error}\nThe tests of Apache Kafka are skipped without it.", file=sys.stderr)  # noqa: T201
        return int(os.environ.get("CI") == "true")
    return 0


if __name__ == "__main__":
    sys.exit(main())
