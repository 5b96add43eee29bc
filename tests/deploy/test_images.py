"""deploy/Dockerfile: linted, locked, without root, and fed with nothing that it does not copy."""

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "Dockerfile"
LINES = FILE.read_text().replace("\\\n", " ").splitlines()


def arguments(instruction: str) -> list[str]:
    """Returns what follows each `instruction`, in order."""
    found = (re.match(rf"{instruction}\s+(.*)", line) for line in LINES)
    return [match[1] for match in found if match]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(hadolint), str(FILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_base_images_have_a_version() -> None:
    images = arguments("FROM")
    assert len(images) == 2
    assert all(re.match(r"python:3\.\d+-", image) for image in images)


def test_the_final_image_is_slim_and_runs_as_nobody() -> None:
    assert "slim" in arguments("FROM")[-1]
    assert arguments("USER") == ["10001:10001"]
    assert LINES.index("USER 10001:10001") > LINES.index(f"FROM {arguments('FROM')[-1]}")


def test_packages_are_installed_by_hash() -> None:
    installs = re.findall(r"pip [^&]*install[^&]*", "\n".join(arguments("RUN")))
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install


def test_the_health_check_asks_the_port_that_is_exposed() -> None:
    assert arguments("EXPOSE") == ["9464"]
    assert any("127.0.0.1:9464/healthz" in line for line in LINES)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    patterns = [
        line.removeprefix("!").rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    sources = [
        source
        for line in arguments("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in patterns), source
