"""Trains the encoder: `python -m models.encoder.train --mix FILE --data DIR --base DIR --out DIR`.

Needs the extra `encoder`. The base is a folder written by `models.encoder.base`, or a finished
training, of which `--layers` are kept, or a model folder, of which all are. A training that was
stopped or killed goes on from its last checkpoint when started again with the same folder. The data
is read again at every slice of an epoch, so rows may be added.
"""

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.bundle import MANIFEST
from models.encoder import drafts, loss, mix, network, validate
from models.encoder.batches import Batch, batches
from models.encoder.curve import LOG
from models.encoder.network import Encoder
from models.encoder.recover import recover
from models.encoder.text import OPEN
from models.encoder.vocabulary import TOKENIZER
from streams.errors import InputError

STATE: Final = "state.pt"
SETTINGS: Final = "settings.json"
EARLY: Final = 0.3
"""How much the early heads count beside the last ones, of whose answers they learn too."""
_STOPPED: Final = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Settings:
    """What can be tuned."""

    posts: int = 200_000
    """Posts to learn from in all, repeats counted."""
    layers: tuple[int, ...] = (0, 2, 4, 7, 9, 11)
    """Which layers of the start are kept."""
    pieces: int = 64
    """Word pieces of a post that are read."""
    batch: int = 48
    rate: float = 1e-4
    """Learning rate of the encoder."""
    fresh: float = 5.0
    """How many times faster the heads learn."""
    smoothing: float = 0.05
    slices: int = 16
    """Slices of an epoch; the data is read again at each."""
    every: int = 4
    """Slices between validations."""
    taught: float = 0.7
    """How much the answers of a teacher count, beside the labels."""
    early: int = 0
    """Layers after which a second set of heads learns to answer, too; 0: none."""
    seed: int = 0
    device: str = "cpu"
    """Or `cuda`, of which numbers differ a little from run to run."""
    threads: int = 2


@dataclass
class Progress:
    """How far a training is."""

    posts: int = 0
    slice_: int = 0
    batch: int = 0
    """Batches done in this slice."""
    best: float = 0.0
    seconds: float = 0.0


@dataclass
class Trainee:
    """A network and what changes it."""

    network: Encoder
    dense: torch.optim.Optimizer
    sparse: torch.optim.Optimizer
    progress: Progress = field(default_factory=Progress)
    teacher: Encoder | None = None

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Both optimizers."""
        return self.dense, self.sparse


def prepare(net: Encoder, settings: Settings) -> Trainee:
    """Give a network its optimizers; rows of pieces that a batch lacks are left alone."""
    net.bert.embeddings.word_embeddings.sparse = True
    pieces: list[Any] = []
    plain: list[Any] = []
    decayed: list[Any] = []
    fresh: list[Any] = []
    for name, parameter in net.named_parameters():
        if name.endswith(network.PIECE):
            pieces.append(parameter)
        elif name.startswith(("heads.", "early_heads.")):
            fresh.append(parameter)
        else:
            (plain if parameter.ndim == 1 or "embeddings" in name else decayed).append(parameter)
    groups = [
        {"params": decayed, "lr": settings.rate, "weight_decay": 0.01},
        {"params": plain, "lr": settings.rate, "weight_decay": 0.0},
        {"params": fresh, "lr": settings.rate * settings.fresh, "weight_decay": 0.01},
    ]
    dense = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=True)
    sparse = torch.optim.SparseAdam(pieces, lr=settings.rate, betas=(0.9, 0.98), eps=1e-6)
    for optimizer in (dense, sparse):
        for group in optimizer.param_groups:
            group["full"] = group["lr"]
    return Trainee(net, dense, sparse)


def pace(done: float) -> float:
    """The share of the learning rate: up in the first 4 %, level to the half, down to nothing.

    >>> pace(0.02), pace(0.3), pace(0.75)
    (0.5, 1.0, 0.5)
    """
    return min(1.0, done / 0.04, max(0.0, 2.0 * (1.0 - done)))


def step(trainee: Trainee, batch: Batch, settings: Settings) -> float:
    """Learn from one batch; returns its loss."""
    batch = batch.to(settings.device)
    wrong = _wrong(trainee, batch, settings)
    wrong.backward()
    dense = [one for group in trainee.dense.param_groups for one in group["params"]]
    nn.utils.clip_grad_norm_(dense, 1.0)
    share = pace(trainee.progress.posts / settings.posts)
    for optimizer in trainee.optimizers():
        for group in optimizer.param_groups:
            group["lr"] = max(group["full"] * share, 1e-9)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return float(wrong.detach())


def _wrong(trainee: Trainee, batch: Batch, settings: Settings) -> Tensor:
    net = trainee.network
    with torch.autocast(settings.device, dtype=torch.bfloat16):
        scores, _, *rest = (net.all if net.early else net)(batch.ids, batch.mask)
    scores = scores.float()
    known = None if trainee.teacher is None else _known(trainee.teacher, batch, settings.device)
    wrong = _of(scores, known, batch, settings)
    if rest:
        wrong = wrong + EARLY * _of(rest[0].float(), scores.detach(), batch, settings)
    return wrong


def _of(scores: Tensor, known: Tensor | None, batch: Batch, settings: Settings) -> Tensor:
    wrong = loss.labelled(scores, batch, smoothing=settings.smoothing)
    if known is None:
        return wrong
    return (1.0 - settings.taught) * wrong + settings.taught * loss.taught(scores, known)


def _known(teacher: Encoder, batch: Batch, device: str) -> Tensor:
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16):
        return teacher(batch.ids, batch.mask)[0].float()


class Run:
    """A training in a folder.

    Args:
        plan: what is read.
        data: where.
        out: takes checkpoints, the log and the network.
        settings: what can be tuned.
        pause: seconds between checkpoints.
    """

    def __init__(
        self, plan: mix.Mix, *, data: Path, out: Path, settings: Settings, pause: float = 300.0
    ) -> None:
        self._plan, self._data, self._out = plan, data, out
        self._settings, self._pause = settings, pause
        self._tokenizer = Tokenizer.from_file(str(out / TOKENIZER))
        self._tokenizer.enable_truncation(settings.pieces)
        self._console = Console(stderr=True, soft_wrap=True)
        self._apart = drafts.apart(plan, data)
        self._saved = time.monotonic()
        self._stopped = False

    def stop(self, *_: object) -> None:
        """Save and end after the batch that is being learnt from."""
        self._stopped = True

    def go(self, trainee: Trainee) -> bool:
        """Train to the end; false when stopped before."""
        kept = json.dumps(asdict(self._settings), indent=1)
        (self._out / SETTINGS).write_text(kept + "\n", encoding="utf-8")
        trainee.network.train()
        while trainee.progress.posts < self._settings.posts:
            self._slice(trainee)
            if self._stopped:
                self._save(trainee)
                return False
            if trainee.progress.slice_ % self._settings.every == 0:
                self._validate(trainee)
        self._validate(trainee)
        network.save(trainee.network, self._out)
        self._save(trainee)
        return True

    def _slice(self, trainee: Trainee) -> None:
        progress, began, first = trainee.progress, time.monotonic(), trainee.progress.posts
        mean = 0.0
        for number, batch in enumerate(self._batches(progress.slice_)):
            if number < progress.batch:
                continue
            if progress.posts >= self._settings.posts:
                break
            wrong = step(trainee, batch, self._settings)
            mean = wrong if not mean else 0.98 * mean + 0.02 * wrong
            progress.posts += len(batch.weights)
            progress.batch += 1
            if progress.batch % 50 == 0:
                self._tell(progress, mean, (progress.posts - first) / (time.monotonic() - began))
            if self._stopped:
                return
            if time.monotonic() - self._saved > self._pause:
                self._save(trainee)
        progress.slice_, progress.batch = progress.slice_ + 1, 0
        progress.seconds += time.monotonic() - began

    def _batches(self, slice_: int) -> Iterator[Batch]:
        settings = self._settings
        made = drafts.gather(
            self._plan,
            self._data,
            slice_=slice_,
            slices=settings.slices,
            seed=settings.seed,
            apart=self._apart,
        )
        self._console.print(f"slice {slice_}: {len(made):,} posts")
        draw = random.Random(f"{settings.seed} {slice_} order")  # noqa: S311 # of batches
        return batches(made, self._tokenizer, size=settings.batch, draw=draw)

    def _tell(self, progress: Progress, mean: float, rate: float) -> None:
        self._console.print(
            f"{progress.posts:,} of {self._settings.posts:,} posts, slice {progress.slice_}, "
            f"loss {mean:.4f}, {rate:.0f} posts/s"
        )

    def _validate(self, trainee: Trainee) -> None:
        figures = validate.figures(trainee.network, self._tokenizer, self._plan, self._data)
        progress = trainee.progress
        told = {"posts": progress.posts, "seconds": round(progress.seconds), **figures}
        with (self._out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(told) + "\n")
        self._console.print(json.dumps(told), markup=False)
        mean = sum(figures.values()) / max(1, len(figures))
        if mean > progress.best:
            progress.best = mean
            network.save(trainee.network, self._out / "best")
        self._save(trainee)

    def _save(self, trainee: Trainee) -> None:
        kept = {
            "settings": asdict(self._settings),
            "progress": asdict(trainee.progress),
            "network": trainee.network.state_dict(),
            "dense": trainee.dense.state_dict(),
            "sparse": trainee.sparse.state_dict(),
        }
        # A checkpoint is whole or it is not there: a kill may come at any time.
        part = self._out / f"{STATE}.part"
        torch.save(kept, part)
        part.replace(self._out / STATE)
        self._saved = time.monotonic()


def begin(base: Path, out: Path, settings: Settings, *, teacher: Path | None = None) -> Trainee:
    """Start afresh, or go on from a checkpoint in the folder.

    Args:
        base: what to start from.
        out: takes what comes of it.
        settings: what can be tuned.
        teacher: the folder of a finished training with the same word pieces, to learn from too.

    Raises:
        InputError: there is nothing to start from.
    """
    if not (base / TOKENIZER).exists():
        raise InputError(f"no {TOKENIZER} in {base}: run `python -m models.encoder.base` first")
    out.mkdir(parents=True, exist_ok=True)
    (out / TOKENIZER).write_bytes((base / TOKENIZER).read_bytes())
    opener = Tokenizer.from_file(str(base / TOKENIZER)).token_to_id(OPEN)
    if opener is None:
        raise InputError(f"{base / TOKENIZER} has no mark for brands: make {base} again")
    if (base / MANIFEST).exists():
        net = recover(base, opener=opener)
    else:
        net = network.start(base, layers=settings.layers, opener=opener, early=settings.early)
    trainee = prepare(net.to(settings.device), settings)
    if teacher is not None:
        trainee.teacher = network.load(teacher).to(settings.device)
    if (out / STATE).exists():
        _restore(trainee, torch.load(out / STATE, weights_only=True, map_location=settings.device))
    return trainee


def _restore(trainee: Trainee, kept: dict[str, Any]) -> None:
    trainee.network.load_state_dict(kept["network"])
    trainee.dense.load_state_dict(kept["dense"])
    trainee.sparse.load_state_dict(kept["sparse"])
    trainee.progress = Progress(**kept["progress"])


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.encoder.train", description=__doc__)
    usual = Settings()
    parser.add_argument("--mix", type=Path, default=Path(__file__).with_name("mix.toml"))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--base", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--layers", default=",".join(map(str, usual.layers)))
    for name in ("posts", "pieces", "batch", "slices", "every", "early", "seed", "threads"):
        parser.add_argument(f"--{name}", type=int, default=getattr(usual, name))
    parser.add_argument("--teacher", type=Path, metavar="DIR", help="a finished training")
    parser.add_argument("--device", default=usual.device)
    for name in ("rate", "fresh", "smoothing", "taught"):
        parser.add_argument(f"--{name}", type=float, default=getattr(usual, name))
    return parser.parse_args(given)


def _settings(asked: argparse.Namespace) -> Settings:
    given = {name: value for name, value in vars(asked).items() if name in asdict(Settings())}
    return Settings(**{**given, "layers": tuple(map(int, asked.layers.split(",")))})


def main(given: Sequence[str] | None = None) -> int:
    """Train from the command line; 2 when a file is wrong, 143 when SIGTERM stopped it."""
    asked = _arguments(sys.argv[1:] if given is None else given)
    settings = _settings(asked)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    try:
        trainee = begin(asked.base, asked.out, settings, teacher=asked.teacher)
        run = Run(mix.load(asked.mix), data=asked.data, out=asked.out, settings=settings)
        signal.signal(signal.SIGTERM, run.stop)
        return 0 if run.go(trainee) else _STOPPED
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False)
        return 2


if __name__ == "__main__":
    sys.exit(main())
