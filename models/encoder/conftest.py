"""Without the extra `encoder`, the examples in modules that need it are not run."""

from importlib.util import find_spec
from typing import Final

TRAINING: Final = (
    "base",
    "batches",
    "blocks",
    "export",
    "fit",
    "loss",
    "network",
    "recover",
    "rows",
    "soften",
    "train",
    "validate",
    "vocabulary",
)
NEEDED: Final = ("torch", "onnx", "sklearn", "wordfreq")

collect_ignore = (
    [f"{name}.py" for name in TRAINING] if any(find_spec(name) is None for name in NEEDED) else []
)
