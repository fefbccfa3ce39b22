"""The sheet of paper that wheel angles are read from: two fans of lines, true to size, as PDF."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepracer_inference.errors import UserError
from deepracer_inference.files import write_atomic
from deepracer_inference.vehicle import Vehicle
from deepracer_training.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPERS = {"a4": (297.0, 210.0), "letter": (279.4, 215.9)}
"""Width and height (mm), landscape."""

MM = 1.0 / 25.4
_REACH_DEG = 35
_INNER_MM, _OUTER_MM = 32.0, 78.0
_AXLE_MM = 85.0
"""Height of the front axle's line above the lower edge of the paper."""

_STEPS = (
    "Print at 100 % (no fitting to the page); the bar below must be 100 mm long.",
    "Lay the sheet on a flat floor, tape it down, and put the car on it: front wheels on the two crosses, the middle "
    "of the car along the dashed line.",
    "For each pulse of the wizard lay a ruler flat against the outer side of a front tyre, and read the line that it "
    "is parallel to. Left is positive, right is negative.",
)


def write_sheet(path: Path, vehicle: Vehicle, paper: str = "a4") -> None:
    """Write the sheet for a vehicle.

    Args:
        path: The PDF file.
        vehicle: The car: the distance of its front wheels' hinges and the width of its tyres.
        paper: One of `PAPERS`.

    Raises:
        UserError: There is no such paper, or the car is too wide for it.
    """
    import matplotlib

    with matplotlib.rc_context(style.RC):
        buffer = io.BytesIO()
        sheet_figure(vehicle, paper).savefig(buffer, format="pdf", metadata={"CreationDate": None, "Producer": None})
    write_atomic(path, buffer.getvalue())


def sheet_figure(vehicle: Vehicle, paper: str = "a4") -> Figure:
    """Draw the sheet; the axes' unit is the millimetre, from the lower left corner of the paper."""
    from matplotlib.figure import Figure

    if paper not in PAPERS:
        raise UserError(f"There is no paper {paper!r}; give one of: {', '.join(PAPERS)}")
    width, height = PAPERS[paper]
    half_track, offset = 500.0 * vehicle.geometry.track_front, 500.0 * vehicle.geometry.wheel_width
    if half_track + offset + _OUTER_MM * math.sin(math.radians(_REACH_DEG)) > width / 2.0 + 4.0:
        raise UserError(
            f"The front wheels of a {vehicle.title} are {2 * half_track:.0f} mm apart, too far for {paper} paper; "
            "measure turning circles instead: deepracer calibrate --method circle"
        )
    figure = Figure(figsize=(width * MM, height * MM))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0.0, width), ylim=(0.0, height))
    axes.axis("off")
    middle = width / 2.0
    axes.plot([middle, middle], [12.0, height - 42.0], color=style.MUTED, linewidth=0.8, linestyle=(0, (6, 4)))
    axes.plot([middle - half_track, middle + half_track], [_AXLE_MM] * 2, color=style.MUTED, linewidth=0.8)
    for side in (-1.0, 1.0):
        _fan(axes, middle + side * half_track, side * offset)
    axes.text(middle + 3.0, 14.0, "rear of the car", color=style.MUTED, fontsize=8, va="bottom")
    _scale(axes, 14.0, 52.0)
    text = f"Wheel angles of the {vehicle.title}: front wheels {2 * half_track:.1f} mm apart"
    axes.text(14.0, height - 12.0, text, fontsize=13, fontweight="bold", va="top")
    for number, line in enumerate(_STEPS):
        axes.text(14.0, height - 20.0 - 5.5 * number, f"{number + 1}.  {line}", fontsize=7.6, va="top")
    return figure


def _fan(axes: Any, x: float, offset: float) -> None:
    """Draw the lines of one wheel: each runs along the outer side of a tyre that is turned by its angle."""
    axes.plot([x - 5.0, x + 5.0], [_AXLE_MM] * 2, color=style.INK, linewidth=1.2)
    axes.plot([x, x], [_AXLE_MM - 5.0, _AXLE_MM + 5.0], color=style.INK, linewidth=1.2)
    for degrees in range(-_REACH_DEG, _REACH_DEG + 1):
        # Positive is left, towards smaller x.
        angle = math.radians(degrees)
        ahead = (-math.sin(angle), math.cos(angle))
        outwards = (math.cos(angle), math.sin(angle))
        base = (x + offset * outwards[0], _AXLE_MM + offset * outwards[1])
        major, middle = degrees % 10 == 0, degrees % 5 == 0
        begin = _INNER_MM if major else _INNER_MM + 12.0 if middle else _INNER_MM + 24.0
        ends = [(base[0] + length * ahead[0], base[1] + length * ahead[1]) for length in (begin, _OUTER_MM)]
        color, line_width = (style.INK, 0.9) if major else (style.INK, 0.5) if middle else (style.MUTED, 0.3)
        axes.plot(*zip(*ends, strict=True), color=color, linewidth=line_width)
        if major:
            place = [base[axis] + (_OUTER_MM + 4.0) * ahead[axis] for axis in range(2)]
            axes.text(
                *place, f"{degrees:+d}" if degrees else "0", ha="center", va="center", rotation=degrees, fontsize=8
            )


def _scale(axes: Any, x: float, y: float) -> None:
    axes.plot([x, x + 100.0], [y, y], color=style.INK, linewidth=1.2)
    for mark in range(0, 101, 10):
        axes.plot([x + mark] * 2, [y, y + (4.0 if mark % 50 == 0 else 2.0)], color=style.INK, linewidth=0.9)
    axes.text(x + 50.0, y - 2.5, "100 mm", ha="center", va="top", fontsize=8)
