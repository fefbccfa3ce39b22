"""Traces: every step of a drive as a row of AWS's `simtrace` CSV, which the community's log tools load as it is."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text, sha256_of, write_atomic
from deepracer_sim.race.rules import STATUSES, EpisodeStatus

if TYPE_CHECKING:
    from deepracer_sim.race.referee import Verdict
    from deepracer_sim.tracks.track import Track

COLUMNS = (
    "episode",
    "steps",
    "X",
    "Y",
    "yaw",
    "steer",
    "throttle",
    "action",
    "reward",
    "done",
    "all_wheels_on_track",
    "progress",
    "closest_waypoint",
    "track_len",
    "tstamp",
    "episode_status",
    "pause_duration",
    "obstacle_crash_counter",
    "wall_clock",
)
"""Header of simapp 6.0. Older files end after `pause_duration`, some lack `obstacle_crash_counter` or `wall_clock`."""

OPTIONAL_COLUMNS = ("pause_duration", "obstacle_crash_counter", "wall_clock")


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One control period of one car in AWS's units: the command, and what the reward function saw after it."""

    episode: int
    steps: int
    """Control periods since the start of the episode, from 1."""
    x: float
    """Nose of the car, m, as reward functions see it."""
    y: float
    yaw: float
    """Degrees, -180..180."""
    steering_angle: float
    """Commanded, degrees, + = left."""
    speed: float
    """Commanded, m/s."""
    action: str
    """Index of a discrete action, or `[steering speed]` of a continuous one."""
    reward: float
    done: bool
    all_wheels_on_track: bool
    progress: float
    """Percent of a lap."""
    closest_waypoint: int
    track_length: float
    """m."""
    time_s: float
    """Simulated time."""
    status: str
    """Lower case, as in `EpisodeStatus`."""
    pause_s: float = 0.0
    """Rest of a penalty, s."""
    obstacle_crashes: int = 0
    wall_clock: float = 0.0
    """The writer repeats the simulated time, the only clock of a deterministic simulator."""

    def csv(self) -> str:
        """Return the line, formatted as AWS does: `str()` of each value, which loses no digit of a float."""
        return ",".join(
            (
                f"{self.episode:d}",
                f"{float(self.steps)}",
                f"{self.x!r}",
                f"{self.y!r}",
                f"{self.yaw!r}",
                f"{self.steering_angle!r}",
                f"{self.speed!r}",
                self.action,
                f"{self.reward!r}",
                str(self.done),
                str(self.all_wheels_on_track),
                f"{self.progress!r}",
                f"{self.closest_waypoint:d}",
                f"{self.track_length!r}",
                f"{self.time_s!r}",
                self.status,
                f"{self.pause_s!r}",
                f"{self.obstacle_crashes:d}",
                f"{self.wall_clock!r}",
            )
        )


def trace_row(
    verdict: Verdict,
    car: int,
    *,
    track: Track,
    episode: int,
    yaw: float,
    steering_angle: float,
    speed: float,
    action: int | None,
    reward: float,
    time_s: float,
) -> TraceRow:
    """Build the row of one car from what the referee said about the step.

    Args:
        verdict: Of the step, for all cars.
        car: Index of the car.
        track: The road.
        episode: Number of the episode, from 0.
        yaw: Heading of the car, rad.
        steering_angle: Commanded, rad.
        speed: Commanded, m/s.
        action: Index of the discrete action; None for a continuous action space.
        reward: Of the step.
        time_s: Simulated time at the end of the step.
    """
    x, y = (float(value) for value in verdict.nose[car])
    steps = int(verdict.steps[car])
    status = STATUSES[verdict.status[car]]
    # The tools take a row `prepare` for the start of an episode.
    if steps == 1 and status is EpisodeStatus.IN_PROGRESS:
        status = EpisodeStatus.PREPARE
    # Commands are float32; rounding gives 25.0 degrees back instead of 24.999999.
    steering_deg, speed = round(math.degrees(steering_angle), 5), round(float(speed), 5)
    time_s = round(time_s, 6)
    return TraceRow(
        episode=episode,
        steps=steps,
        x=x,
        y=y,
        yaw=math.degrees(math.remainder(yaw, math.tau)),
        steering_angle=steering_deg,
        speed=speed,
        action=f"[{steering_deg!r} {speed!r}]" if action is None else str(int(action)),
        reward=float(reward),
        done=bool(verdict.done[car]),
        all_wheels_on_track=bool(verdict.wheels_on_track[car].all()),
        progress=float(verdict.progress[car]),
        closest_waypoint=_nearer(track, verdict.closest[car], x, y),
        track_length=track.length,
        time_s=time_s,
        status=status.value,
        pause_s=round(float(verdict.pause_s[car]), 6),
        obstacle_crashes=int(verdict.crashes[car]),
        wall_clock=time_s,
    )


class TraceWriter:
    """Collects rows in any order of cars; the file holds one episode after the other."""

    def __init__(self) -> None:
        """Start without rows."""
        self._lines: dict[int, list[str]] = {}

    def add(self, row: TraceRow) -> None:
        """Take the next row of its episode."""
        self._lines.setdefault(row.episode, []).append(row.csv())

    def text(self) -> str:
        """Return the whole file."""
        lines = [",".join(COLUMNS)]
        for episode in sorted(self._lines):
            lines += self._lines[episode]
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> str:
        """Write the file and return its SHA-256.

        Raises:
            DeepRacerError: The file cannot be written.
        """
        data = self.text().encode()
        write_atomic(path, data)
        return sha256_of(data)


@dataclass(frozen=True)
class Trace:
    """A trace as columns of equal length; units as in `TraceRow`. What an older file lacks is 0, its wall clock NaN."""

    episode: NDArray[np.int64]
    steps: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    yaw: NDArray[np.float64]
    steering_angle: NDArray[np.float64]
    speed: NDArray[np.float64]
    action: NDArray[np.str_]
    reward: NDArray[np.float64]
    done: NDArray[np.bool_]
    all_wheels_on_track: NDArray[np.bool_]
    progress: NDArray[np.float64]
    closest_waypoint: NDArray[np.int64]
    track_length: NDArray[np.float64]
    time_s: NDArray[np.float64]
    status: NDArray[np.str_]
    pause_s: NDArray[np.float64]
    obstacle_crashes: NDArray[np.int64]
    wall_clock: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.episode)

    def take(self, rows: NDArray[np.bool_] | slice) -> Trace:
        """Return some of the rows."""
        return Trace(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def episodes(self) -> Iterator[Trace]:
        """Split into episodes, in their order in the file."""
        cuts = [0, *(np.flatnonzero(np.diff(self.episode)) + 1).tolist(), len(self)]
        return (self.take(slice(low, high)) for low, high in itertools.pairwise(cuts) if high > low)


def read_trace(path: Path) -> Trace:
    """Read a trace of AWS's simulator or ours, with 16 to 19 columns.

    Raises:
        UserError: The file is missing, is no trace, or has a broken row.
    """
    return parse_trace(read_text(path), str(path))


def parse_trace(text: str, source: str) -> Trace:
    """Parse the text of a trace; `source` is its name in messages.

    Raises:
        UserError: As `read_trace`.
    """
    reader = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in COLUMNS if name not in header and name not in OPTIONAL_COLUMNS]
    if missing:
        raise UserError(
            f"{source} is not a simtrace file: its first line lacks {', '.join(missing[:4])}"
            f"{', ...' if len(missing) > 4 else ''}; expected is a header that begins with {','.join(COLUMNS[:4])}"
        )
    rows, lines = [], []
    try:
        for row in filter(None, reader):
            if len(row) != len(header):
                raise UserError(
                    f"{source}, line {reader.line_num}: {len(row)} values, but the header has {len(header)}"
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"{source}, line {reader.line_num}: {error}") from error
    values: dict[str, NDArray[Any]] = {}
    for field, name in zip(fields(Trace), COLUMNS, strict=True):
        if name not in header:
            values[field.name] = np.full(len(rows), math.nan if name == "wall_clock" else 0.0)
            continue
        index = header.index(name)
        convert, kind = _KINDS.get(name, (_finite, "a finite number"))
        column = []
        for line, row in zip(lines, rows, strict=True):
            try:
                column.append(convert(row[index]))
            except ValueError as error:
                raise UserError(f"{source}, line {line}: {name} is {row[index]!r}, expected is {kind}") from error
        values[field.name] = np.array(column, dtype=_DTYPES.get(convert))
    return Trace(**values)


def _whole(text: str) -> int:
    """Read AWS's whole numbers, which may look like `12.0`."""
    number = _finite(text)
    if number != int(number) or abs(number) > 2**53:
        raise ValueError(text)
    return int(number)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _boolean(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


_KINDS: dict[str, tuple[Callable[[str], object], str]] = {
    **dict.fromkeys(("episode", "steps", "closest_waypoint", "obstacle_crash_counter"), (_whole, "a whole number")),
    **dict.fromkeys(("done", "all_wheels_on_track"), (_boolean, "True or False")),
    **dict.fromkeys(("action", "episode_status"), (str, "a text")),
}
_DTYPES: dict[Callable[[str], object], type] = {_whole: np.int64, _boolean: np.bool_, str: np.str_, _finite: np.float64}


def _nearer(track: Track, closest: NDArray[np.int64], x: float, y: float) -> int:
    """Return the nearer of the waypoints behind and ahead, the one that AWS logs."""
    behind, ahead = (int(index) for index in closest)
    gaps = track.center[[behind, ahead % len(track.center)]] - (x, y)
    return ahead if math.hypot(*gaps[1]) < math.hypot(*gaps[0]) else behind
