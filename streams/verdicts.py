"""Verdicts kept in a file: texts that were judged once need no model again."""

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeGuard

import msgspec

from models import Brands, Classifier
from streams.errors import RejectedError
from streams.records import Verdict

VERSION: Final = 1
"""Of the file; another one is set aside."""

_OURS: Final = 0x54575643
"""Marks the file as ours, in the header that SQLite keeps for that."""
_ASKED: Final = 1_000
"""Keys in one query: SQLite takes a bounded number."""
_PATIENCE: Final = 5.0
"""Seconds to wait for another process that writes."""
_CHECK: Final = 4
"""Bytes of the checksum in front of each value: SQLite itself would not see a flipped bit."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Verdict).decode


class _DamagedError(Exception):
    """The file is not what we wrote."""


class Kept:
    """A classifier that remembers its verdicts in a file.

    A key is a hash of the model's name, which holds its digest, of the text and, where the model
    looks at them, of the brands asked about; the text itself is never written. A file that is
    damaged or of another version is set aside; one that cannot be used at all is done without.
    Either is told, and neither stops the work.

    Args:
        judge: who judges what is not there yet.
        path: the file; its folder must exist.
        tell: called with a sentence when something is wrong with the file.

    Attributes:
        found: verdicts that came from the file.
        judged: texts that were judged anew.
    """

    def __init__(self, judge: Classifier, path: Path, *, tell: Callable[[str], None]) -> None:
        self.name = judge.name
        self.leak_threshold = judge.leak_threshold
        self.targeted = judge.targeted
        self.found = 0
        self.judged = 0
        self._judge = judge
        self._path = path
        self._tell = tell
        self._salt = hashlib.sha256(judge.name.encode() + b"\0")
        self._file = self._open()

    def classify(
        self, texts: Sequence[str], *, brands: Brands | None = None
    ) -> list[Verdict | RejectedError]:
        """Judge each text, in order, those alone that were not judged before."""
        asked = brands if self.targeted else None
        keys = self._keys(texts, asked)
        known = self._look(keys)
        new = {key: place for place, key in enumerate(keys) if key not in known}
        said = self._ask(new, texts, asked) if new else {}
        self._keep(said)
        self.judged += len(new)
        self.found += sum(key in known for key in keys)
        return [known.get(key) or said[key] for key in keys]

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
        self._file = None

    def _ask(
        self, new: dict[bytes, int], texts: Sequence[str], brands: Brands | None
    ) -> dict[bytes, Verdict | RejectedError]:
        """Have the texts at some places judged."""
        places = new.values()
        said = self._judge.classify(
            [texts[place] for place in places],
            brands=None if brands is None else [brands[place] for place in places],
        )
        return dict(zip(new, said, strict=True))

    def _keys(self, texts: Sequence[str], brands: Brands | None) -> list[bytes]:
        if brands is None:
            return [self._key(text) for text in texts]
        return [self._key(text, names) for text, names in zip(texts, brands, strict=True)]

    def _key(self, text: str, brands: Sequence[str] = ()) -> bytes:
        mixed = self._salt.copy()
        mixed.update(text.encode("utf-8", "surrogatepass"))
        for name in brands:
            # No text holds this byte: one with brands cannot be taken for a longer one.
            mixed.update(b"\xff" + name.encode("utf-8", "surrogatepass"))
        return mixed.digest()[:16]

    def _open(self) -> sqlite3.Connection | None:
        """Open the file, a new one in its place if need be; None: do without."""
        try:
            return _connect(self._path)
        except sqlite3.OperationalError as error:
            self._do_without(error)
        except (sqlite3.DatabaseError, _DamagedError) as error:
            return self._renew(error)
        return None

    def _renew(self, error: Exception) -> sqlite3.Connection | None:
        aside = _free(self._path)
        try:
            self._path.rename(aside)
            fresh = _connect(self._path)
        except (OSError, sqlite3.Error) as worse:
            self._do_without(worse)
            return None
        self._tell(f"{self._path}: {error}; set aside as {aside.name}, the texts are judged again")
        return fresh

    def _do_without(self, error: Exception) -> None:
        self._tell(f"{self._path}: verdicts are not kept: {error}")

    def _fail(self, error: Exception) -> None:
        """Go on after a fault in the middle, with a new file or with none."""
        self.close()
        if isinstance(error, sqlite3.OperationalError):
            self._do_without(error)
        else:
            self._file = self._renew(error)

    def _look(self, keys: Sequence[bytes]) -> dict[bytes, Verdict]:
        if self._file is None:
            return {}
        try:
            return dict(_select(self._file, keys))
        except (sqlite3.DatabaseError, _DamagedError) as error:
            self._fail(error)
            return {}

    def _keep(self, said: dict[bytes, Verdict | RejectedError]) -> None:
        """Write verdicts; what was refused is cheap to refuse again."""
        rows = [(key, _seal(one)) for key, one in said.items() if _is_sound(one)]
        if self._file is None or not rows:
            return
        try:
            with self._file:
                self._file.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", rows)
        except sqlite3.DatabaseError as error:
            self._fail(error)


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file of ours, or make one.

    Raises:
        _DamagedError: it is none of ours, or of another version.
        sqlite3.Error: it cannot be used.
    """
    file = sqlite3.connect(path, timeout=_PATIENCE)
    try:
        _check(file)
        file.execute("PRAGMA synchronous = OFF")
        file.execute("CREATE TABLE IF NOT EXISTS verdicts (key BLOB PRIMARY KEY, value BLOB)")
        file.execute(f"PRAGMA application_id = {_OURS}")
        file.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        file.close()
        raise
    return file


def _check(file: sqlite3.Connection) -> None:
    (ours,) = file.execute("PRAGMA application_id").fetchone()
    (version,) = file.execute("PRAGMA user_version").fetchone()
    (tables,) = file.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if ours != _OURS and (tables or ours or version):
        raise _DamagedError("this file holds no verdicts")
    if ours == _OURS and version != VERSION:
        raise _DamagedError(f"these verdicts are of version {version}, not {VERSION}")


def _select(file: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Verdict]]:
    for start in range(0, len(keys), _ASKED):
        some = keys[start : start + _ASKED]
        marks = ",".join("?" * len(some))
        query = f"SELECT key, value FROM verdicts WHERE key IN ({marks})"  # noqa: S608 -- only marks
        for key, value in file.execute(query, some):
            yield key, _unseal(value)


def _is_sound(one: Verdict | RejectedError) -> TypeGuard[Verdict]:
    """Tell whether this is a verdict; one without probabilities is none that could be read."""
    if isinstance(one, RejectedError):
        return False
    return all(0 <= share <= 1 for share in one.counted())


def _seal(verdict: Verdict) -> bytes:
    packed = _encode(verdict)
    return zlib.crc32(packed).to_bytes(_CHECK, "big") + packed


def _unseal(value: object) -> Verdict:
    if not isinstance(value, bytes) or len(value) <= _CHECK:
        raise _DamagedError("a verdict is damaged")
    packed = value[_CHECK:]
    if zlib.crc32(packed).to_bytes(_CHECK, "big") != value[:_CHECK]:
        raise _DamagedError("a verdict is damaged")
    try:
        return _decode(packed)
    except msgspec.MsgspecError as error:
        raise _DamagedError("a verdict is damaged") from error


def _free(path: Path) -> Path:
    """Return a name beside the file that nobody has."""
    number = 1
    while (aside := path.with_name(f"{path.name}.bad{number}")).exists():
        number += 1
    return aside
