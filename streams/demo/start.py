"""Starts the demo as the command line asks for it, and tells how it ended."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from streams import sample
from streams.demo.play import HURRY, SPEED, Demo, ToldToEndError, theirs
from streams.demo.screen import Lines, Screen, Terminal
from streams.errors import TrustwatchError

FAST_TICK: Final = 0.1
"""Seconds between two readings when the story is to be over soon."""


def start(
    *,
    once: bool,
    address: str | None,
    speed: float | None,
    config: Path | None,
    told: Callable[[], bool],
) -> bool:
    """Run the demo; return whether it came to its end.

    Args:
        once: end when the story is over, and print a summary.
        address: a broker that runs; None: the embedded one.
        speed: how many times faster than in reality the story goes; None: as it suits.
        config: the settings file.
        told: says whether it is to end.

    Raises:
        InputError: what was asked for is not possible.
        TrustwatchError: it could not go on, or something in its result is not as it must be.
    """
    console = Console(highlight=False)
    screen: Screen = Terminal(console) if console.is_terminal else Lines(sys.stderr)
    demo = Demo(
        screen=screen,
        told=told,
        theirs=theirs(address, config=config) if address else {},
        speed=(HURRY if once else SPEED) if speed is None else speed,
        **({"tick": FAST_TICK} if once else {}),
    )
    stay = console.is_terminal and not once
    try:
        result = demo.run(stay=stay)
    except ToldToEndError:
        return False
    told_next = ("try next:", *(f"  {command}" for command in commands()))
    for line in (*told_next, *(() if stay else result.lines())):
        console.print(line, markup=False, soft_wrap=True)
    if problems := list(result.problems()):
        raise TrustwatchError("the demo failed:\n" + "\n".join(problems))
    return True


def commands() -> tuple[str, ...]:
    """Return commands that work without the demo."""
    return (
        f'trustwatch brands check --brands {sample.brands()} "Ondrelle\'s data leaked"',
        f"trustwatch classify {sample.posts()} | head -3",
        "trustwatch topics schema posts",
    )
