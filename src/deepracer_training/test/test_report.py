"""Pictures: what must be in them, and that odd data does not break them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.tracks.track import Track
from deepracer_training.report import style
from deepracer_training.report.plots import (
    driven_speed,
    path_figure,
    png,
    save_png,
    svg,
    track_figure,
    training_figure,
    training_panels,
)
from deepracer_training.report.top_view import TopView
from deepracer_training.traces import COLUMNS, Trace, parse_trace


@pytest.fixture
def square() -> Track:
    """A square of 8 x 8 m around the origin, 1 m wide, counter-clockwise from its lower left corner."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=float)
    return Track("square", 4.0 * corners, 3.5 * corners, 4.5 * corners)


def trace(*rows: tuple[float, float, str]) -> Trace:
    """A lap with one row per second: x, time stamp, status."""
    lines = [",".join(COLUMNS)]
    for step, (x, time_s, status) in enumerate(rows, 1):
        lines.append(f"0,{step},{x},-4,0,0,1,0,0,False,True,1,0,32,{time_s},{status},0,0,{time_s}")
    return parse_trace("\n".join(lines), "made up")


def row(update: int, **values: float | None) -> str:
    base: dict[str, float | int | None] = {
        "update": update,
        "steps": update * 2048,
        "wall_s": 1.0 * update,
        "episodes": 4,
        "reward_mean": 1.5,
        "progress_mean": 50.0,
        "laps": 0,
        "lap_time_mean_s": None,
        "policy_loss": 0.1,
        "value_loss": 0.2,
        "entropy": 1.0,
        "approx_kl": 0.01,
        "clip_fraction": 0.1,
        "explained_variance": 0.5,
        "steps_per_s": 4000.0,
    }
    return json.dumps(base | values)


def pixels(data: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image[..., ::-1], np.uint8)


def test_a_track_picture_shows_road_ground_and_facts(square: Track, tmp_path: Path) -> None:
    figure = track_figure(square)
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "square"
    assert axes.get_title(loc="right").startswith("32.00 m long, 1.00 m wide, counter-clockwise")
    save_png(figure, tmp_path / "track.png")
    image = pixels((tmp_path / "track.png").read_bytes())
    assert image.shape[1] == style.WIDTH_IN * style.PNG_DPI
    colors = {tuple(color) for color in image.reshape(-1, 3)}
    assert {style.rgb(style.ROAD), style.rgb(style.FIELD)} <= colors


def test_speed_is_measured_between_rows_but_not_across_a_penalty() -> None:
    lap = trace(
        (0.0, 1.0, "prepare"),
        (2.0, 2.0, "in_progress"),
        (3.0, 3.0, "off_track"),
        (-3.0, 4.0, "pause"),
        (-3.0, 5.0, "pause"),
        (-2.0, 6.0, "in_progress"),
        (-1.0, 7.0, "in_progress"),
    )
    speed, driven = driven_speed(lap)
    assert driven.tolist() == [False, True, True, False, False, False, True]
    assert speed.tolist() == [0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def test_a_path_picture_does_not_connect_what_was_not_driven(square: Track) -> None:
    lap = trace(
        (0.0, 1.0, "prepare"), (1.0, 2.0, "in_progress"), (90.0, 3.0, "in_progress"), (91.0, 4.0, "in_progress")
    )
    lines = path_figure(square, lap).axes[0].collections[0]
    assert [np.asarray(path.vertices)[:, 0].tolist() for path in lines.get_paths()] == [[0.0, 1.0], [90.0, 91.0]]


def test_violations_are_marked_in_the_path_picture(square: Track) -> None:
    lap = trace((0.0, 1.0, "prepare"), (1.0, 2.0, "off_track"), (2.0, 3.0, "crashed"))
    legend = path_figure(square, lap).axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["off track", "crashed"]


def test_a_path_picture_of_a_car_that_never_moved_is_just_the_track(square: Track) -> None:
    for lap in (trace(), trace((0.0, 1.0, "prepare"), (0.0, 2.0, "in_progress"))):
        assert png(path_figure(square, lap)).startswith(b"\x89PNG")


def test_an_inline_svg_follows_the_theme_and_is_the_same_each_time(square: Track) -> None:
    lap = trace((0.0, 1.0, "prepare"), (1.0, 2.0, "in_progress"))
    first, second = (svg(path_figure(square, lap)) for _ in range(2))
    assert first == second
    assert first.startswith("<svg ")
    assert "var(--ink)" in first
    assert style.INK not in first


def test_training_curves_leave_out_what_is_unknown_and_a_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [row(1, reward_mean=None), row(2), row(3, lap_time_mean_s=9.5, trial_lap_time_mean_s=9.0)]
    path.write_text("\n".join(lines) + '\n{"update": 4, "st')
    panels = training_panels(path)
    reward = panels["Reward per episode"].axes[0].get_lines()[0]
    assert np.asarray(reward.get_xdata()).tolist() == [4096, 6144]
    times = panels["Lap time"].axes[0].get_lines()
    assert [np.asarray(line.get_ydata()).tolist() for line in times] == [[9.5], [9.0]]
    assert len(training_figure(path).axes) == 6


def test_training_curves_are_marked_where_the_training_went_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([row(1), row(2), row(3)]) + "\n")
    for axes in training_figure(path, [4096]).axes:
        assert [4096, 4096] in [list(line.get_xdata()) for line in axes.get_lines()]  # type: ignore[arg-type]


def test_training_curves_of_an_empty_log_can_be_drawn(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    assert png(training_figure(tmp_path / "metrics.jsonl")).startswith(b"\x89PNG")


def test_the_top_view_has_north_up_and_the_car_where_it_is(square: Track) -> None:
    view = TopView(square, load_vehicle("deepracer").geometry, 500, 500)
    empty = view.with_car((1000.0, 0.0, 0.0))
    image = view.with_car((0.0, 4.0, 0.0))
    changed = np.argwhere((image != empty).any(axis=2))
    # 9 m and a margin of 5 % on both sides in 500 px; y = 4 m is near the upper edge.
    scale = 500 / (9.0 * 1.1)
    assert changed.mean(axis=0) == pytest.approx([250 - 4.0 * scale, 250], abs=1.5)
    # The nose points right, red.
    red = np.argwhere((image == style.rgb(style.RED)).all(axis=2))
    assert red[:, 1].mean() > 250


def test_the_driven_line_stays_until_it_is_wiped(square: Track) -> None:
    view = TopView(square, load_vehicle("deepracer").geometry, 500, 500)
    away = (1000.0, 0.0, 0.0)
    empty = view.with_car(away)
    view.drive((-2.0, -4.0), (2.0, -4.0), 1.0)
    line = np.argwhere((view.with_car(away) == style.rgb(style.SPEED_STOPS[-1])).all(axis=2))
    assert line[:, 1].max() - line[:, 1].min() == pytest.approx(4.0 * 500 / (9.0 * 1.1), abs=4)
    view.clear()
    assert (view.with_car(away) == empty).all()


def test_speeds_are_coloured_from_the_first_to_the_last_stop() -> None:
    assert style.speed_color(0.0) == style.rgb(style.SPEED_STOPS[0])
    assert style.speed_color(1.0) == style.rgb(style.SPEED_STOPS[-1])
    assert style.speed_color(0.5) == style.rgb(style.SPEED_STOPS[3])
    assert style.speed_color(7.0) == style.rgb(style.SPEED_STOPS[-1])


def test_the_scale_of_speeds_ignores_the_standing_start_and_does_not_magnify_noise() -> None:
    driven = np.linspace(1.0, 2.97, 95)
    assert style.speed_range(np.concatenate([np.linspace(0.0, 0.9, 5), driven])) == (1.1, 3.0)
    assert style.speed_range([1.49, 1.5, 1.51]) == pytest.approx((1.1, 1.6))
    assert style.speed_range([0.0, 0.1]) == (0.0, 0.5)
    assert style.speed_range([]) == (0.0, 1.0)
