"""Ties processes and a folder to ours: however we end, even by SIGKILL, neither outlives us."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, Self

from streams.errors import TrustwatchError

TAIL: Final = 8
"""Lines of a log that are shown when its process ended too early."""
_LONGEST_LINE: Final = 300
_PATIENCE: Final = 15.0

# Reads process ids until nobody holds the other end of its input any more, then ends what is
# left; `done` says that nothing is. A process that was just killed may still write for a moment.
_SCRIPT: Final = """
trap '' HUP INT TERM
umask 077
mkdir "$1" || exit 1
pids=
while read -r pid; do
  if [ "$pid" = done ]; then pids=; else pids="$pids $pid"; fi
done
for pid in $pids; do kill -s KILL -- "-$pid"; done
tries=0
until rm -rf "$1" || [ $tries -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
"""
# The child tells its own id, so that there is no moment in which nobody knows it.
_CHILD: Final = 'echo "$$" >&0; exec "$@" </dev/null'


class Child:
    """A process of the demo.

    Attributes:
        name: what it is, for people.
        log: the file with all that it says.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], *, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def stop(self, patience: float) -> None:
        """End it: with SIGTERM, and with SIGKILL if it is still there after `patience` seconds."""
        if patience:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self._process.kill()
        self._process.wait()

    def said(self) -> str:
        """Return the last lines of its log, indented."""
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line[:_LONGEST_LINE]}" for line in lines[-TAIL:])


class Guard:
    """A temporary folder and child processes that end with us.

    The guard is a small shell at the other end of a pipe; the kernel closes our end when we are
    gone. PR_SET_PDEATHSIG would do without it, but is Linux's alone and follows the thread that
    started the process.

    Attributes:
        folder: made by the shell, readable by nobody else, removed by it.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir()) / f"trustwatch-demo-{token_hex(6)}"
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Make the folder.

        Raises:
            TrustwatchError: it cannot be made.
        """
        theirs, self._pipe = os.pipe()
        self._shell = subprocess.Popen(  # noqa: S603 -- the script is ours
            ["sh", "-c", _SCRIPT, "sh", str(self.folder)],  # noqa: S607 -- sh is where PATH says
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for us alone
        )
        os.close(theirs)
        while not self.folder.is_dir():
            if self._shell.poll() is not None:
                os.close(self._pipe)
                raise TrustwatchError(
                    f"the folder {self.folder} cannot be made: set TMPDIR to one with space"
                )
            time.sleep(0.002)
        return self

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> Child:
        """Start a process whose words go to `NAME.log` in the folder."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(  # noqa: S603 -- the commands are ours
                ["sh", "-c", _CHILD, "sh", *command],  # noqa: S607
                stdin=self._pipe,
                stdout=out,
                stderr=out,
                env=env,
                start_new_session=True,
            )
        child = Child(name, process, log=log)
        self._children.append(child)
        return child

    def __exit__(self, *_: object) -> None:
        """End the children, the last one first, and remove the folder."""
        for child in reversed(self._children):
            child.stop(0)
        os.write(self._pipe, b"done\n")
        os.close(self._pipe)
        self._shell.wait(_PATIENCE)
