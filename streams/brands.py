"""The brands file: read with care, and read again when it changes on disk."""

import difflib
import hashlib
import logging
import re
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from streams.domain.brands import Brand, Expected, Matcher
from streams.domain.folding import fold
from streams.domain.phrases import Kind, kind
from streams.errors import BrandsError

log = logging.getLogger(__name__)

KEYS = Brand.__struct_fields__
_ID = re.compile(r"[a-z0-9-]{1,100}")
_LONGEST = 200
"""Characters of the longest name: a longer one is a slip, and no post has it."""
_STEEPEST = 1_000


def read_brands(path: str | Path) -> tuple[Brand, ...]:
    """Reads and checks the brands file.

    Raises:
        BrandsError: it cannot be read or used; the text names the file, the brand and the key,
            and says what is allowed.
    """
    return _parse(Path(path), _load(Path(path)))


def _load(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BrandsError(
            f"{path}: {reason}. Write the file, or name another with --brands or brands.file."
        ) from error


def _parse(path: Path, content: bytes) -> tuple[Brand, ...]:
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BrandsError(f"{path}: not UTF-8, at byte {error.start}. Save it as UTF-8.") from error
    except ValueError as error:
        raise BrandsError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise BrandsError(f"{path}: not a brands file: nested too deeply") from error
    return tuple(_brands(path, document))


def _brands(path: Path, document: dict[str, Any]) -> Iterator[Brand]:
    for key in document:
        if key != "brand":
            raise BrandsError(f"{path}: unknown key {_shown(key)}; {_nearest(key, ('brand',))}")
    tables = document.get("brand")
    if not isinstance(tables, list) or not tables:
        raise BrandsError(f"{path}: no brands; each one is a table that begins with [[brand]]")
    seen: dict[str, int] = {}
    for number, table in enumerate(tables, start=1):
        brand = _Entry(path, number, table).brand()
        if brand.id in seen:
            raise BrandsError(
                f'{path}: brands {seen[brand.id]} and {number} have the same id "{brand.id}"; '
                "give one of them another, or make them one"
            )
        seen[brand.id] = number
        yield brand


def _nearest(key: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    allowed = ", ".join(known)
    return f'did you mean "{near[0]}"?' if near else f"allowed: {allowed}"


class _Entry:
    """One `[[brand]]` table and where it stands, to say so when it is wrong."""

    def __init__(self, path: Path, number: int, table: object) -> None:
        self._path = path
        self._number = number
        self._table = table if isinstance(table, dict) else {}

    def brand(self) -> Brand:
        """Checks every key and builds the brand."""
        for key in self._table:
            if key not in KEYS:
                self._fail(key, f"unknown key; {_nearest(key, KEYS)}")
        return Brand(
            id=self._id(),
            name=self._word("name", self._table.get("name")),
            aliases=self._words("aliases"),
            handles=self._handles(),
            require_any=self._words("require_any"),
            exclude=self._words("exclude"),
            balance=self._balance(),
            expected=tuple(self._expected()),
        )

    def _fail(self, key: str, what: str) -> NoReturn:
        given = self._table.get("id")
        named = f" {_shown(given)}" if isinstance(given, str) and given else ""
        raise BrandsError(f"{self._path}: brand {self._number}{named}: {printable(key)}: {what}")

    def _id(self) -> str:
        given = self._table.get("id")
        if not isinstance(given, str) or not _ID.fullmatch(given):
            self._fail("id", f"{_shown(given)}; allowed: 1 to 100 of the characters a-z, 0-9, -")
        return given

    def _word(self, key: str, given: object) -> str:
        if not isinstance(given, str):
            self._fail(key, f"{_shown(given)}; it must be a text in quotes")
        if not any(map(str.isalnum, fold(given))):
            self._fail(key, f"{_shown(given)}; it needs at least one letter or digit")
        if len(given) > _LONGEST:
            self._fail(key, f"{len(given)} characters; allowed: at most {_LONGEST}")
        return given

    def _words(self, key: str) -> tuple[str, ...]:
        given = self._table.get(key, [])
        if not isinstance(given, list):
            self._fail(key, f'{_shown(given)}; it must be a list, as in {key} = ["…", "…"]')
        places = enumerate(given, start=1)
        return tuple(self._word(f"{key}, entry {place}", each) for place, each in places)

    def _handles(self) -> tuple[str, ...]:
        handles = self._words("handles")
        for each in handles:
            if kind(each) is Kind.NAME:
                self._fail(
                    "handles",
                    f"{_shown(each)}; allowed: @account, #tag, $TICKER or a domain, no spaces",
                )
        return handles

    def _balance(self) -> float:
        given = self._table.get("balance", 2.0)
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not 0 < given <= _STEEPEST:
            self._fail("balance", f"{_shown(given)}; allowed: a number above 0, up to {_STEEPEST}")
        return float(given)

    def _expected(self) -> Iterator[Expected]:
        given = self._table.get("expected", [])
        if not isinstance(given, list):
            self._fail("expected", "each one is a table that begins with [[brand.expected]]")
        for place, table in enumerate(given, start=1):
            key = f"expected, entry {place}"
            if not isinstance(table, dict) or set(table) != {"from", "until", "why"}:
                self._fail(key, "it has the keys from, until and why, and no others")
            since, until = (self._instant(key, table[end]) for end in ("from", "until"))
            if since >= until:
                self._fail(key, "it ends before it begins; exchange from and until")
            yield Expected(since, until, self._word(f"{key}, why", table["why"]))

    def _instant(self, key: str, given: object) -> datetime:
        if not isinstance(given, datetime):
            self._fail(key, f"{_shown(given)}; write an instant, as in 2026-11-23T09:30:00Z")
        return given if given.tzinfo else given.replace(tzinfo=UTC)


def _shown(given: object) -> str:
    """Words a value of the file, or that there is none."""
    if given is None:
        return "missing"
    if isinstance(given, str):
        return f'"{printable(given)}"' if given else "empty"
    return f"{given!r:.60}"


def printable(text: str) -> str:
    r"""Makes a text safe for a terminal: control characters and half characters are escaped.

    >>> print(printable("a\x1b[31m"))
    a\x1b[31m
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class BrandsFile:
    """The brands of a file, kept as new as the file.

    It has no thread: whoever works with it calls `reload` now and then, from any one thread.
    The matcher is replaced as a whole, so readers need no lock.

    Args:
        path: the file; it must be usable at the start.
        clock: gives the time in seconds since 1970.

    Attributes:
        matcher: finds the brands of the last good file.
        error: what is wrong with the file as it is now; None: nothing.
        loaded_at: when the brands in use were loaded, in seconds since 1970.
        digest: SHA-256 of the file in use, in hexadecimal.

    Raises:
        BrandsError: the file cannot be used.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._stamp = _stamp(self.path)
        self.error: str | None = None
        self._use(_load(self.path))

    def reload(self) -> bool:
        """Reads the file again if it changed; tells whether the brands are others now.

        A file that cannot be used leaves the brands as they are, and its fault in `error`.
        Building the matcher of many brands takes seconds: do not call it on an event loop.
        """
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return False
        try:
            content = _load(self.path)
            self._stamp = stamp
            return self._renew(content)
        except BrandsError as error:
            if str(error) != self.error:
                log.error("The brands stay as they are: %s", error)  # noqa: TRY400 -- no bug of ours
            self.error = str(error)
            return False

    def _renew(self, content: bytes) -> bool:
        if hashlib.sha256(content).hexdigest() == self.digest:
            self.error = None
            return False
        self._use(content)
        log.info("%s changed: %d brands now", self.path, len(self.matcher.brands))
        return True

    def _use(self, content: bytes) -> None:
        self.matcher = Matcher(_parse(self.path, content))
        self.digest = hashlib.sha256(content).hexdigest()
        self.loaded_at = self._clock()
        self.error = None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Gives what changes when a file is written or replaced; None: there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
