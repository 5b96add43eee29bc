"""Draws docs/pictures/demo.svg: the live view of a real run, hours after the leak is confirmed.

python docs/pictures/demo.py
"""

import io
import sys
from datetime import timedelta
from pathlib import Path
from typing import Self

from rich.console import Console

from streams.demo.frame import Frame
from streams.demo.play import SPEED, Demo
from streams.demo.screen import line
from streams.demo.story import Story
from streams.demo.view import picture

WIDTH = 88
LATER = timedelta(hours=4)
PICTURE = Path(__file__).with_suffix(".svg")
# Readers of the page fetch nothing: whatever fixed-width font they have will do.
FORMAT = """\
<svg xml:space="preserve" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; white-space: pre;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Camera:
    """A screen that keeps one frame: the first one some hours after the last turn of the story."""

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self._when = Story.load().moments[-1].at + LATER

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def show(self, frame: Frame) -> None:
        """Keep a frame, if it is the one."""
        if self.frame is None and frame.clock and frame.clock >= self._when:
            self.frame = frame


def main() -> int:
    """Play the demo at its usual speed and draw the frame that was kept."""
    camera = Camera()
    result = Demo(screen=camera, told=lambda: False, theirs={}, speed=SPEED).run(stay=False)
    problems = list(result.problems())
    if problems or camera.frame is None:
        print("\n".join(problems or ["no frame was kept"]), file=sys.stderr)
        return 1
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    console.print(picture(camera.frame, width=WIDTH))
    svg = console.export_svg(title="trustwatch demo", code_format=FORMAT, unique_id="trustwatch")
    PICTURE.write_text("\n".join(part.rstrip() for part in svg.splitlines()) + "\n", "utf-8")
    print(f"{PICTURE}: {line(camera.frame)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
