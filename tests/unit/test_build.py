"""The Makefile and the lock files: what a clone relies on before any of our code runs."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # Called from within `make test`, whose own flags would be handed on.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def pins(lock: Path) -> set[str]:
    """Returns the pinned requirements, each `name==version` with its condition if it has one."""
    return {
        line.removesuffix("\\").strip()
        for line in lock.read_text().splitlines()
        if line[:1].isalnum()
    }


def names(lock: Path) -> set[str]:
    return {Requirement(pin).name for pin in pins(lock)}


def wanted(*extras: str) -> list[Requirement]:
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def test_make_alone_lists_its_commands() -> None:
    shown = make().stdout
    for command in ("setup", "demo", "test", "lint", "bench", "lock", "clean"):
        assert f"make {command}" in shown


def test_without_a_recent_python_it_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = make(".venv/.python", "PYTHON=no-such-python", folder=tmp_path)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_there_is_a_lock_for_every_extra() -> None:
    extras = set(PROJECT["optional-dependencies"])
    assert {lock.stem for lock in LOCKS} == extras | {"build", "core"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_no_host_and_no_option(lock: Path) -> None:
    assert re.findall(r"(?m)^-.*|^.*://.*|^.* @ .*", lock.read_text()) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pin_has_a_hash(lock: Path) -> None:
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", lock.read_text())[1:]
    assert len(blocks) == len(pins(lock))
    assert all("--hash=sha256:" in block for block in blocks)


def test_a_package_has_one_version_in_all_locks() -> None:
    found = pins(ROOT / "requirements" / "core.txt")
    for lock in LOCKS:
        shared = names(ROOT / "requirements" / "core.txt") & names(lock)
        same = {pin for pin in pins(lock) if Requirement(pin).name in shared}
        if lock.stem != "build":
            assert same == found, lock


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("core", []),
        ("demo", ["demo"]),
        ("train", ["train"]),
        ("hub", ["hub"]),
        ("dev", ["demo", "dev", "train"]),
    ],
)
def test_a_lock_fits_what_the_project_asks_for(name: str, extras: list[str]) -> None:
    locked = {
        (pin.name, str(pin.specifier).removeprefix("=="))
        for pin in map(Requirement, pins(ROOT / "requirements" / f"{name}.txt"))
    }
    for asked in wanted(*extras):
        versions = [version for package, version in locked if package == asked.name.lower()]
        assert versions, f"{asked.name} is not in {name}.txt: run make lock"
        assert all(asked.specifier.contains(version) for version in versions), (
            f"{asked} is not met by {name}.txt: run make lock"
        )


def test_what_the_demo_needs_is_in_the_set_up_for_developers() -> None:
    requirements = ROOT / "requirements"
    assert pins(requirements / "demo.txt") <= pins(requirements / "dev.txt")


def test_the_default_install_has_no_torch() -> None:
    for name in ("core", "demo", "dev", "train"):
        assert "torch" not in names(ROOT / "requirements" / f"{name}.txt")
