"""A model is found by its name, and nobody pays for the kinds that they do not use."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models import BUNDLE, FAST, hub, load_classifier
from models.bundle import MANIFEST
from streams.errors import ModelError

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).parent / "encoder-tiny"


def changed(folder: Path, to: Path, **fields: object) -> str:
    shutil.copytree(folder, to)
    manifest = json.loads((to / MANIFEST).read_text())
    (to / MANIFEST).write_text(json.dumps(manifest | fields))
    return str(to)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bundle", "encoder-1"),
        ("fast", "linear-1"),
        (str(FAST), "linear-1"),
        (str(BUNDLE), "encoder-1"),
        (str(TINY), "encoder-1"),
    ],
)
def test_a_folder_is_opened_as_what_it_says_it_is(name: str, kind: str) -> None:
    assert load_classifier(name).name.startswith(f"{kind} sha256:")


@pytest.mark.parametrize("folder", [FAST, TINY], ids=["linear", "encoder"])
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "oracle"}, "kind 'oracle', this version knows 'linear' and 'encoder'"),
        ({"format": 2, "new": 1}, "format 2, this version reads 1: upgrade trustwatch"),
        ({"kind": 7}, "not a manifest"),
        ({"surprise": 1}, "not a manifest"),
    ],
)
def test_a_model_of_a_later_version_is_refused_with_the_way_out(
    tmp_path: Path, folder: Path, fields: dict[str, object], told: str
) -> None:
    with pytest.raises(ModelError, match=told):
        load_classifier(changed(folder, tmp_path / "model", **fields))


def test_a_model_of_transformers_is_asked_for_by_its_prefix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install 'trustwatch\[hub\]'"):
        load_classifier("hub:some/model")


@pytest.mark.parametrize(
    ("name", "unused"),
    [
        ("fast", {"onnxruntime", "tokenizers", "transformers", "torch", "sklearn"}),
        ("bundle", {"models.linear", "transformers", "torch", "sklearn"}),
    ],
)
def test_a_model_is_loaded_without_what_the_others_need(name: str, unused: set[str]) -> None:
    code = (
        "import sys; from models import load_classifier; "
        f"load_classifier({name!r}).classify(['fine']); print(*({unused!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert done.stdout.split() == []


def test_nothing_is_left_behind_or_sent_by_the_engine(tmp_path: Path) -> None:
    code = "from models import load_classifier; load_classifier().classify(['fine'])"
    env = {name: text for name, text in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    env |= {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True)
    assert list(tmp_path.iterdir()) == [], "the engine kept a file for its telemetry"
