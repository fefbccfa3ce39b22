"""Traces: our files look like AWS's to the character, and AWS's files of every age can be read."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.race.referee import Referee, Verdict
from deepracer_sim.race.rules import RaceRules
from deepracer_sim.simulator import CarStates
from deepracer_sim.tracks.track import Track
from deepracer_training.traces import COLUMNS, TraceRow, TraceWriter, parse_trace, read_trace, trace_row

SHARED = Path(__file__).resolve().parents[4] / "shared" / "traces"

HEADER = (
    "episode,steps,X,Y,yaw,steer,throttle,action,reward,done,all_wheels_on_track,progress,closest_waypoint,track_len,"
    "tstamp,episode_status,pause_duration,obstacle_crash_counter,wall_clock"
)
CONTINUOUS = (
    "200,2.0,-1.5549,-1.7099,178.5838,21.1287,1.9275,[21.1287 1.9275],0.01,False,True,1.5168,2,16.598,469.139,"
    "in_progress,0.0,0,1773216704.9"
)
DISCRETE = "0,267.0,5.2,0.6,-15.8,10.0,2.0,7,-1e-05,True,False,63.3,159,59.998,55.299,off_track,1.938,0,1772906170.5"


def row(**changes: object) -> TraceRow:
    values: dict[str, object] = {
        "episode": 3,
        "steps": 12,
        "x": 1.25,
        "y": -0.1,
        "yaw": 179.5,
        "steering_angle": -25.0,
        "speed": 1.5,
        "action": "[-25.0 1.5]",
        "reward": 0.5,
        "done": False,
        "all_wheels_on_track": True,
        "progress": 7.5,
        "closest_waypoint": 4,
        "track_length": 16.6,
        "time_s": 0.8,
        "status": "in_progress",
        "wall_clock": 0.8,
    }
    return TraceRow(**(values | changes))  # type: ignore[arg-type]


def test_a_row_is_written_as_aws_writes_it() -> None:
    assert ",".join(COLUMNS) == HEADER
    line = "3,12.0,1.25,-0.1,179.5,-25.0,1.5,[-25.0 1.5],0.5,False,True,7.5,4,16.6,0.8,in_progress,0.0,0,0.8"
    assert row().csv() == line


def test_rows_of_real_traces_are_reproduced_to_the_character(tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared real traces are not beside this checkout")
    for path in sorted(SHARED.glob("*.csv")):
        trace = read_trace(path)
        with path.open() as file:
            lines = file.read().splitlines()[1:]
        assert len(trace) == len(lines)
        for index in range(0, len(lines), 37):
            copy = TraceRow(**{name: getattr(trace, name)[index].item() for name in TraceRow.__dataclass_fields__})
            # AWS caps the progress with the integer 100.
            assert copy.csv() == lines[index].replace(",100,", ",100.0,")


def test_the_file_groups_rows_by_episode_whatever_the_order_of_cars(tmp_path: Path) -> None:
    writer = TraceWriter()
    for episode, steps in ((1, 1), (0, 1), (1, 2), (0, 2)):
        writer.add(row(episode=episode, steps=steps))
    digest = writer.write(tmp_path / "0-iteration.csv")
    with (tmp_path / "0-iteration.csv").open() as file:
        content = list(csv.DictReader(file))
    assert [(line["episode"], line["steps"]) for line in content] == [
        ("0", "1.0"),
        ("0", "2.0"),
        ("1", "1.0"),
        ("1", "2.0"),
    ]
    assert len(digest) == 64
    assert [len(episode) for episode in read_trace(tmp_path / "0-iteration.csv").episodes()] == [2, 2]


@pytest.mark.parametrize("columns", [16, 17, 18, 19])
def test_older_files_lack_the_last_columns(columns: int) -> None:
    lines = [HEADER, CONTINUOUS, DISCRETE]
    trace = parse_trace("\n".join(",".join(line.split(",")[:columns]) for line in lines), "old.csv")
    assert trace.steps.tolist() == [2, 267]
    assert trace.action.tolist() == ["[21.1287 1.9275]", "7"]
    assert trace.reward.tolist() == [0.01, -1e-05]
    assert trace.done.tolist() == [False, True]
    assert trace.status.tolist() == ["in_progress", "off_track"]
    assert trace.pause_s.tolist() == ([0.0, 1.938] if columns >= 17 else [0.0, 0.0])
    assert np.isnan(trace.wall_clock).tolist() == [columns < 19] * 2


def test_a_file_with_a_wall_clock_but_no_crash_counter_is_read_by_its_header() -> None:
    lines = []
    for line in (HEADER, DISCRETE):
        values = line.split(",")
        lines.append(",".join(values[:17] + values[18:]))
    trace = parse_trace("\n".join(lines), "drfc.csv")
    assert trace.wall_clock.tolist() == [1772906170.5]
    assert trace.obstacle_crashes.tolist() == [0]


def test_an_empty_trace_has_no_episodes() -> None:
    trace = parse_trace(HEADER + "\n", "empty.csv")
    assert len(trace) == 0
    assert list(trace.episodes()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["x.csv is not a simtrace file", "episode, steps"]),
        ("a,b\n1,2\n", ["x.csv is not a simtrace file"]),
        (f"{HEADER}\n{DISCRETE},1\n", ["x.csv, line 2", "20 values", "header has 19"]),
        (f"{HEADER}\n{CONTINUOUS}\n{DISCRETE.replace('True', 'yes')}\n", ["x.csv, line 3", "done is 'yes'"]),
        (f"{HEADER}\n{DISCRETE.replace('0,267.0', 'zero,267.0')}\n", ["episode is 'zero'", "a whole number"]),
        (f"{HEADER}\n{DISCRETE.replace('267.0', '267.5')}\n", ["steps is '267.5'"]),
    ],
)
def test_a_broken_file_is_explained(text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_trace(text, "x.csv")
    assert all(word in str(caught.value) for word in words)


@pytest.fixture(scope="module")
def straight() -> tuple[Track, Vehicle]:
    """A rectangle of 8 x 4 m, 1 m wide, driven counter-clockwise from the middle of its lower side."""
    center = np.array([[0, 0], [1, 0], [4, 0], [4, 4], [-4, 4], [-4, 0]], dtype=float)
    inner = np.array([[0, 0.5], [1, 0.5], [3.5, 0.5], [3.5, 3.5], [-3.5, 3.5], [-3.5, 0.5]])
    outer = np.array([[0, -0.5], [1, -0.5], [4.5, -0.5], [4.5, 4.5], [-4.5, 4.5], [-4.5, -0.5]])
    return Track("rectangle", center, inner, outer), load_vehicle("deepracer")


def judged(straight: tuple[Track, Vehicle], x: float, y: float, yaw: float) -> Verdict:
    track, vehicle = straight
    referee = Referee(track, vehicle, RaceRules.training(), 1, vehicle.control_period_ns)
    referee.start(np.array([0]), np.array([[0.0, 0.0, 0.0]]))
    zero = np.zeros(1)
    return referee.judge(CarStates(np.array([x]), np.array([y]), np.array([yaw]), zero, zero, zero, zero, 0))


def test_the_row_of_a_step_has_the_nose_degrees_and_the_nearer_waypoint(straight: tuple[Track, Vehicle]) -> None:
    track, vehicle = straight
    verdict = judged(straight, 0.6, 0.1, 0.0)
    made = trace_row(
        verdict,
        0,
        track=track,
        episode=5,
        yaw=2 * np.pi + 0.1,
        steering_angle=float(np.float32(np.deg2rad(25.0))),
        speed=float(np.float32(1.3)),
        action=None,
        reward=2.5,
        time_s=1 / 15,
    )
    assert (made.x, made.y) == pytest.approx((0.6 + vehicle.geometry.nose_offset, 0.1))
    assert made.yaw == pytest.approx(np.rad2deg(0.1))
    assert (made.steering_angle, made.speed, made.action) == (25.0, 1.3, "[25.0 1.3]")
    assert made.closest_waypoint == 1  # the nose at x = 0.74 is nearer to the one at 1 than to the one at 0
    # As at AWS, progress counts from where base_link stood to where the nose is now.
    assert made.progress == pytest.approx(100 * (0.6 + vehicle.geometry.nose_offset) / 24)
    assert made.status == "prepare"  # the first step of an episode
    assert (made.steps, made.done, made.all_wheels_on_track) == (1, False, True)
    assert made.wall_clock == made.time_s == 0.066667


def test_the_row_of_a_car_off_the_track_says_so(straight: tuple[Track, Vehicle]) -> None:
    track, _ = straight
    verdict = judged(straight, 0.6, -2.0, 0.0)
    made = trace_row(
        verdict, 0, track=track, episode=0, yaw=0.0, steering_angle=0.0, speed=1.0, action=4, reward=0.0, time_s=0.1
    )
    assert (made.status, made.done, made.all_wheels_on_track, made.action) == ("off_track", True, False, "4")
