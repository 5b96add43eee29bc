"""The brands file: what is refused and how it is told, and that it is kept as new as the disk."""

import os
from pathlib import Path

import pytest

from streams.brands import BrandsFile, read_brands
from streams.domain.brands import Brand
from streams.errors import BrandsError, InputError

FULL = """
[[brand]]
id = "velmora"
name = "Velmora Télécom"
aliases = ["Velmora", "VelTel"]
handles = ["@veltel", "#veltel", "$VLM", "velmora.example", "@vel-tel", "@vel@social.example"]
require_any = ["mobile", "fibre"]
exclude = ["Velmora Stadium"]
balance = 3

[[brand]]
id = "corvex-2"
name = "Corvex"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "brands.toml"


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(path: Path, text: str | bytes) -> str:
    with pytest.raises(BrandsError) as refused:
        read_brands(written(path, text))
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_full_file_is_read(path: Path) -> None:
    assert read_brands(written(path, FULL)) == (
        Brand(
            id="velmora",
            name="Velmora Télécom",
            aliases=("Velmora", "VelTel"),
            handles=(
                "@veltel", "#veltel", "$VLM", "velmora.example", "@vel-tel", "@vel@social.example",
            ),
            require_any=("mobile", "fibre"),
            exclude=("Velmora Stadium",),
            balance=3.0,
        ),
        Brand(id="corvex-2", name="Corvex"),
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + FULL.encode(), FULL.replace("\n", "\r\n")])
def test_files_saved_on_windows_are_read(path: Path, content: str | bytes) -> None:
    assert len(read_brands(written(path, content))) == 2


def entry(**keys: str) -> str:
    given = {"id": '"a"', "name": '"Velmora"', **keys}
    return "[[brand]]\n" + "\n".join(f"{key} = {value}" for key, value in given.items() if value)


SAFE = "allowed: 1 to 100 of the characters a-z, 0-9, -"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"id": ""}, f"brand 1: id: missing; {SAFE}"),
        ({"id": '"Velmora"'}, f'brand 1 "Velmora": id: "Velmora"; {SAFE}'),
        ({"id": '"a/b"'}, f'brand 1 "a/b": id: "a/b"; {SAFE}'),
        ({"id": '""'}, f"brand 1: id: empty; {SAFE}"),
        ({"id": '"a\\n"'}, f'brand 1 "a\\n": id: "a\\n"; {SAFE}'),
        ({"id": "7"}, f"brand 1: id: 7; {SAFE}"),
        ({"name": ""}, 'brand 1 "a": name: missing; it must be a text in quotes'),
        ({"name": '["a"]'}, "brand 1 \"a\": name: ['a']; it must be a text in quotes"),
        ({"name": '" "'}, 'brand 1 "a": name: " "; it needs at least one letter or digit'),
        ({"name": '"★"'}, 'brand 1 "a": name: "★"; it needs at least one letter or digit'),
        (
            {"name": f'"{"x" * 201}"'},
            'brand 1 "a": name: 201 characters; allowed: at most 200',
        ),
        (
            {"aliases": '["Vel", ""]'},
            'brand 1 "a": aliases, entry 2: empty; it needs at least one letter or digit',
        ),
        (
            {"aliases": '"Vel"'},
            'brand 1 "a": aliases: "Vel"; it must be a list, as in aliases = ["…", "…"]',
        ),
        (
            {"exclude": "[3]"},
            'brand 1 "a": exclude, entry 1: 3; it must be a text in quotes',
        ),
        (
            {"handles": '["@vel", "vel"]'},
            'brand 1 "a": handles: "vel"; allowed: @account, #tag, $TICKER or a domain, no spaces',
        ),
        (
            {"handles": '["https://velmora.example"]'},
            (
                'brand 1 "a": handles: "https://velmora.example"; '
                "allowed: @account, #tag, $TICKER or a domain, no spaces"
            ),
        ),
        ({"balance": '"2"'}, 'brand 1 "a": balance: "2"; allowed: a number above 0, up to 1000'),
        ({"balance": "0"}, 'brand 1 "a": balance: 0; allowed: a number above 0, up to 1000'),
        ({"balance": "nan"}, 'brand 1 "a": balance: nan; allowed: a number above 0, up to 1000'),
        ({"balance": "inf"}, 'brand 1 "a": balance: inf; allowed: a number above 0, up to 1000'),
        ({"balance": "true"}, 'brand 1 "a": balance: True; allowed: a number above 0, up to 1000'),
        (
            {"expected": '"2026-12-01"'},
            'brand 1 "a": expected: each one is a table that begins with [[brand.expected]]',
        ),
        (
            {"expected": '[{ from = 2026-12-01T08:00:00Z, why = "sales" }]'},
            ('brand 1 "a": expected, entry 1: it has the keys from, until and why, and no others'),
        ),
        (
            {"expected": '[{ from = "now", until = 2026-12-01T08:00:00Z, why = "sales" }]'},
            ('brand 1 "a": expected, entry 1: "now"; write an instant, as in 2026-11-23T09:30:00Z'),
        ),
        (
            {
                "expected": "[{ from = 2026-12-02T08:00:00Z, until = 2026-12-01T08:00:00Z, "
                'why = "sales" }]'
            },
            ('brand 1 "a": expected, entry 1: it ends before it begins; exchange from and until'),
        ),
        ({"alias": "[]"}, 'brand 1 "a": alias: unknown key; did you mean "aliases"?'),
        (
            {"colour": '"red"'},
            (
                'brand 1 "a": colour: unknown key; '
                "allowed: id, name, aliases, handles, require_any, exclude, balance, expected"
            ),
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(
    path: Path, keys: dict[str, str], expected: str
) -> None:
    assert refusal(path, entry(**keys)) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "no brands; each one is a table that begins with [[brand]]"),
        ("brand = []", "no brands; each one is a table that begins with [[brand]]"),
        ('[brand]\nid = "a"', "no brands; each one is a table that begins with [[brand]]"),
        ("brand = [1]", f"brand 1: id: missing; {SAFE}"),
        ("[[brands]]", 'unknown key "brands"; did you mean "brand"?'),
        ("x = 1", 'unknown key "x"; allowed: brand'),
        (
            FULL + FULL,
            'brands 1 and 3 have the same id "velmora"; give one of them another, or make them one',
        ),
        (b"a = '\xff'", "not UTF-8, at byte 5. Save it as UTF-8."),
    ],
)
def test_a_file_that_is_not_of_brands_is_refused(
    path: Path, content: str | bytes, expected: str
) -> None:
    assert refusal(path, content) == expected


@pytest.mark.parametrize("content", ["[[brand]", "x = " + "9" * 5_000, "x = " + "[" * 100_000])
def test_what_is_not_toml_is_refused(path: Path, content: str) -> None:
    assert refusal(path, content).startswith("not ")


def test_a_missing_file_and_a_folder_are_refused_with_the_way_out(path: Path) -> None:
    for wrong in (path, path.parent):
        with pytest.raises(InputError, match=r"--brands or brands\.file") as refused:
            read_brands(wrong)
        assert str(wrong) in str(refused.value)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Gives the time that was set."""
        return self.now


def loaded(path: Path, clock: Clock) -> BrandsFile:
    return BrandsFile(written(path, entry()), clock=clock)


def names(file: BrandsFile) -> list[str]:
    return [brand.name for brand in file.matcher.brands]


def test_a_file_that_did_not_change_is_not_read_again(path: Path) -> None:
    clock = Clock()
    file = loaded(path, clock)
    before = file.matcher
    clock.now = 2_000.0
    assert not file.reload()
    assert file.matcher is before
    assert (file.loaded_at, file.error) == (1_000.0, None)


def test_a_changed_file_is_used(path: Path) -> None:
    clock = Clock()
    file = loaded(path, clock)
    digest = file.digest
    written(path, FULL)
    clock.now = 2_000.0
    assert file.reload()
    assert names(file) == ["Velmora Télécom", "Corvex"]
    assert file.loaded_at == 2_000.0
    assert file.digest != digest
    assert not file.reload()


def test_a_replaced_file_of_the_same_size_and_time_is_used(path: Path) -> None:
    file = loaded(path, Clock())
    found = path.stat()
    other = written(path.with_name("other"), entry(name='"Velmore"'))
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(path)
    assert file.reload()
    assert names(file) == ["Velmore"]


def test_a_touched_file_changes_nothing(path: Path) -> None:
    file = loaded(path, Clock())
    before = file.matcher
    os.utime(path, ns=(1, 1))
    assert not file.reload()
    assert file.matcher is before


def test_a_bad_file_keeps_the_old_brands_and_says_why(path: Path) -> None:
    clock = Clock()
    file = loaded(path, clock)
    written(path, entry(id='"A"'))
    clock.now = 2_000.0
    assert not file.reload()
    assert names(file) == ["Velmora"]
    assert file.loaded_at == 1_000.0
    assert file.error is not None
    assert "brand 1" in file.error
    assert not file.reload()
    assert file.error is not None
    written(path, FULL)
    assert file.reload()
    assert file.error is None


def test_going_back_to_the_file_in_use_clears_the_fault(path: Path) -> None:
    file = loaded(path, Clock())
    written(path, "broken")
    assert not file.reload()
    assert file.error
    written(path, entry())
    assert not file.reload()
    assert file.error is None


def test_a_file_that_went_away_is_a_fault_until_it_is_back(path: Path) -> None:
    file = loaded(path, Clock())
    path.unlink()
    assert not file.reload()
    assert file.error is not None
    assert "No such file" in file.error
    written(path, FULL)
    assert file.reload()
    assert file.error is None


def test_a_fault_is_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = loaded(path, Clock())
    path.unlink()
    assert not any(file.reload() for _ in range(3))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "The brands stay as they are" in caplog.text


def test_a_bad_file_is_refused_at_the_start(path: Path) -> None:
    with pytest.raises(BrandsError):
        BrandsFile(written(path, "broken"))
    with pytest.raises(BrandsError):
        BrandsFile(path.with_name("absent"))
