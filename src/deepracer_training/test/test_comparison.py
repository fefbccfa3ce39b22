"""Comparison: intervals against published values, verdicts that tell the truth, and nothing compared that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepracer_inference.errors import UserError
from deepracer_inference.files import sha256_of
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_sim.race_settings import RaceSettings
from deepracer_sim.tracks.library import load_track
from deepracer_training.comparison import intervals
from deepracer_training.comparison.compare import compare, reward_diff
from deepracer_training.comparison.laps import Entry, evaluate_more, open_entry
from deepracer_training.comparison.tables import settings_table
from deepracer_training.models.changes import apply_settings
from deepracer_training.models.config import preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.report.comparison_page import write_comparison
from deepracer_training.report.comparison_plots import color_of, curves_figure
from deepracer_training.results import EvaluationResult, LapResult
from deepracer_training.traces import COLUMNS
from deepracer_training.training_log import KEYS

REWARD = "def reward_function(params):\n    return 1.0\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def lap(number: int, time_s: float | None, off_tracks: int = 0) -> LapResult:
    return LapResult(
        lap=number,
        status=EpisodeStatus.TIME_UP if time_s is None else EpisodeStatus.LAP_COMPLETE,
        start_m=0.0,
        lap_time_s=time_s,
        driven_s=time_s or 99.0,
        progress=50.0 if time_s is None else 100.0,
        mean_speed=1.5,
        reward=10.0,
        steps=100,
        off_track_count=off_tracks,
        crash_count=0,
        immobilized_count=0,
        reversed_count=0,
        reset_count=off_tracks,
    )


def evaluation(
    folder: ModelFolder,
    times: list[float | None],
    *,
    seed: int = 0,
    off_tracks: int = 0,
    graph: str = sha256_of(b"graph"),
    **other: Any,
) -> EvaluationResult:
    """Write what an evaluation would: its figures, and a trace of one step a lap."""
    track = load_track("pebble")
    number = len(list(folder.evaluations.glob("*"))) + 1
    path = folder.evaluations / f"20260101-000000-{number}"
    (path / "evaluation-simtrace").mkdir(parents=True)
    x, y = track.center[0]
    row = f"1.0,{x},{y},0.0,0.0,1.0,0,1.0,True,True,50.0,0,{track.length},1.0,lap_complete,0.0,0,1.0"
    lines = [",".join(COLUMNS), *(f"{index},{row}" for index in range(len(times)))]
    (path / "evaluation-simtrace" / "0-iteration.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    counts = ("off_track_count", "crash_count", "immobilized_count", "reversed_count", "reset_count")
    means = ("lap_time_mean_s", "lap_time_std_s", "lap_time_best_s", "lap_time_worst_s", "consistency")
    figures = (*means, "mean_speed", "mean_speed_share", "top_speed", "reward_mean")
    values: dict[str, Any] = {
        "id": path.name,
        "created": f"2026-01-01T00:00:{number:02d}+00:00",
        "model": folder.name,
        "track": "pebble",
        "track_length_m": track.length,
        "vehicle": "deepracer",
        "seed": seed,
        "world_seed": 0,
        "laps": len(times),
        "laps_completed": sum(time is not None for time in times),
        "lap_results": tuple(lap(index, time, off_tracks) for index, time in enumerate(times, 1)),
        "hashes": {"policy.onnx": graph},
        "versions": {},
        "provenance": {},
        "trace_sha256": "",
        "reward_error": None,
        "trace": "evaluation-simtrace/0-iteration.csv",
        "metrics": "metrics.json",
        "report": "report.html",
        "video": None,
        **dict.fromkeys(counts, 0),
        **dict.fromkeys(figures, 1.0),
    }
    result = EvaluationResult(**{**values, **other})
    (path / "evaluation.json").write_text(result.model_dump_json(), encoding="utf-8")
    return result


def model(name: str, *settings: str, reward: str = REWARD) -> ModelFolder:
    config = apply_settings(preset_config("fast", name=name, track="pebble"), settings)
    folder = ModelFolder.create(name, config, reward)
    folder.policy.mkdir()
    (folder.policy / "policy.onnx").write_bytes(b"graph")
    return folder


def entry(name: str, times: list[float | None], **other: Any) -> Entry:
    folder = model(name)
    evaluation(folder, times, **other)
    return open_entry(name)


def test_intervals_agree_with_published_examples() -> None:
    # Newcombe 1998, Statistics in Medicine 17, tables I and II: 81 of 263, and the difference of 56/70 and 48/80.
    wilson = intervals.share(81, 263)
    assert (wilson.low, wilson.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    difference = intervals.hybrid_difference(intervals.share(48, 80), intervals.share(56, 70))
    assert (difference.low, difference.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    # Garwood 1936: 0 events have 3.689 as their upper limit, 3 events 0.619 and 8.767.
    assert intervals.rate([0] * 10).high == pytest.approx(0.3689, abs=1e-4)
    three = intervals.rate([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    assert (three.low, three.high) == pytest.approx((0.0619, 0.8767), abs=1e-4)
    # Student: mean 3, standard deviation sqrt(2.5), t(4) = 2.7764.
    student = intervals.mean([1, 2, 3, 4, 5])
    assert (student.low, student.high) == pytest.approx((3 - 1.9633, 3 + 1.9633), abs=1e-3)


def test_student_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        first, second = random.normal(10.0, 0.3, 8).tolist(), random.normal(10.5, 1.0, 12).tolist()
        found = intervals.mean_difference(first, second, paired=False)
        assert found.low is not None
        assert found.high is not None
        hits += found.low < 0.5 < found.high
    assert 0.92 * 400 < hits < 0.985 * 400


def test_few_laps_have_no_interval_and_are_never_clear() -> None:
    for found in (intervals.mean([3.0]), intervals.mean_difference([3.0], [9.0], paired=True), intervals.spread([3.0])):
        assert found.value is not None
        assert found.low is None
        assert not found.clear
    assert intervals.mean([]).value is None


def test_laps_clumped_in_one_drive_widen_the_interval() -> None:
    spread, clumped = intervals.rate([1] * 6 + [0] * 6), intervals.rate([6] + [0] * 11)
    assert spread.low is not None
    assert clumped.low is not None
    assert clumped.value == spread.value
    assert clumped.low < spread.low


@pytest.mark.parametrize(
    ("times", "off_tracks", "verdict", "reason"),
    [
        ([9.0, 9.1, 9.2, 9.3], 0, "better", "1.00 s faster a lap"),
        ([11.0, 11.1, 11.2, 11.3], 0, "worse", "1.00 s slower a lap"),
        ([10.3, 10.0, 10.2, 10.1], 0, "no clear difference", "in 4 laps"),
        ([9.0, 9.1, 9.2, 9.3], 3, "worse", "leaves the track 3 times more per lap"),
    ],
)
def test_the_verdict_follows_from_the_laps(
    times: list[float | None], off_tracks: int, verdict: str, reason: str
) -> None:
    compared = compare([entry("a", [10.0, 10.1, 10.2, 10.3]), entry("b", times, off_tracks=off_tracks)])
    difference = compared[1].difference
    assert difference is not None
    assert (difference.verdict, difference.reason) == (verdict, reason)
    assert difference.paired == 4


def test_a_fast_car_that_does_not_arrive_is_worse() -> None:
    compared = compare([entry("a", [10.0] * 10), entry("b", [5.0, 5.1] + [None] * 8)])
    difference = compared[1].difference
    assert difference is not None
    assert difference.verdict == "worse"
    assert difference.reason == "completes 2 of 10 laps instead of 10 of 10"


def test_equal_starts_are_compared_one_by_one() -> None:
    """Starts differ by seconds, the models by a tenth: only pairs show it."""
    times = [8.0, 9.0, 10.0, 11.0, 12.0]
    faster: list[float | None] = [time - 0.1 - 0.01 * index for index, time in enumerate(times)]
    paired = compare([entry("a", list(times)), entry("b", faster)])[1].difference
    unpaired = compare([entry("c", list(times)), entry("d", faster, seed=1)])[1].difference
    assert paired is not None
    assert unpaired is not None
    assert paired.verdict == "better"
    assert (unpaired.verdict, unpaired.paired) == ("no clear difference", 0)


def test_a_lap_that_two_evaluations_drove_counts_once() -> None:
    folder = model("a")
    evaluation(folder, [10.0, 11.0])
    evaluation(folder, [10.0, 11.0, 12.0])
    evaluation(folder, [13.0], seed=1)
    assert sorted(lap.lap_time_s or 0.0 for lap in open_entry("a").laps) == [10.0, 11.0, 12.0, 13.0]


def test_only_evaluations_of_one_policy_on_one_track_are_put_together(home: Path) -> None:
    folder = model("a")
    evaluation(folder, [20.0], graph="old")
    with pytest.raises(UserError, match="no evaluation of its present policy"):
        open_entry("a")
    evaluation(folder, [9.0], track="oval", hashes={})
    evaluation(folder, [10.0, 11.0], hashes={})
    assert [lap.lap_time_s for lap in open_entry("a").laps] == [10.0, 11.0]
    assert [lap.lap_time_s for lap in open_entry("a/000000-1").laps] == [20.0]


def test_other_tracks_are_not_comparable() -> None:
    compared = compare([entry("a", [10.0, 10.1], hashes={}), entry("b", [5.0, 5.1], hashes={}, track="oval")])
    difference = compared[1].difference
    assert difference is not None
    assert difference.verdict == "not comparable"
    assert "oval" in difference.reason
    assert difference.lap_time_s.value is None


def test_what_is_missing_is_driven_and_nothing_twice() -> None:
    folder = model("a")
    evaluation(folder, [10.0, 11.0])
    evaluation(folder, [10.0, 11.0], seed=1, graph="old")
    evaluation(folder, [10.0], seed=2)
    driven: list[tuple[int, int]] = []

    def drive(folder: ModelFolder, laps: int, seed: int) -> EvaluationResult:
        driven.append((laps, seed))
        return evaluation(folder, [10.0] * laps, seed=seed)

    evaluate_more("a", 2, 3, drive)
    assert driven == [(2, 1), (2, 2)]
    evaluate_more("a/x", 2, 3, drive)
    assert len(driven) == 2


def test_driven_laps_are_those_on_the_models_own_course() -> None:
    """An evaluation elsewhere, be it the latest, neither takes their place nor makes them incomparable."""
    folder = model("a")
    evaluation(folder, [9.0, 9.0], race_type="object_avoidance", race=RaceSettings.for_type("object_avoidance"))
    driven: list[int] = []

    def drive(folder: ModelFolder, laps: int, seed: int) -> EvaluationResult:
        driven.append(seed)
        return evaluation(folder, [10.0] * laps, seed=seed)

    evaluate_more("a", 2, 1, drive)
    assert driven == [0]
    evaluation(folder, [8.0, 8.0], track="oval")
    assert open_entry("a").track == "oval"
    own = open_entry("a", own_course=True)
    assert (own.track, own.course.race_type) == ("pebble", "time_trial")
    assert [one.lap_time_s for one in own.laps] == [10.0, 10.0]


def test_two_laps_are_no_verdict() -> None:
    first, *_, last = compare([entry("a", [10.0, 10.1]), entry("b", [None, None])])
    assert first.difference is None
    assert last.difference is not None
    assert last.difference.completion.clear
    assert last.difference.verdict == "no clear difference"
    assert compare([entry("c", [10.0, 10.1, 10.2]), entry("d", [None] * 3)])[1].difference.verdict == "worse"  # type: ignore[union-attr]


def test_settings_and_reward_functions_are_shown_where_they_differ(tmp_path: Path) -> None:
    a, b = model("a"), model("b", "lr=0.0005", reward=REWARD.replace("1.0", "2.0"))
    for folder in (a, b):
        evaluation(folder, [10.0, 10.1], hashes={})
    compared = compare([open_entry("a"), open_entry("b")])
    assert settings_table(compared) == [["hyperparameters.lr", "0.001", "0.0005"]]
    assert reward_diff(a, b)[-2:] == ["-    return 1.0", "+    return 2.0"]
    assert reward_diff(a, a) == []
    page = tmp_path / "page.html"
    write_comparison(page, compared, 0.95)
    text = page.read_text(encoding="utf-8")
    for part in ("hyperparameters.lr", "+    return 2.0", "Driven lines on pebble", "no clear difference", "<svg"):
        assert part in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_a_training_curve_has_its_models_colour_and_no_empty_axes() -> None:
    for name in ("a", "b"):
        folder = model(name)
        evaluation(folder, [10.0, 10.1])
        evaluation(folder, [10.0, 10.1], seed=1)
        rows = [dict.fromkeys(KEYS, 1.0) | {"steps": steps, "lap_time_mean_s": None} for steps in (100, 200)]
        folder.metrics_jsonl.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    figure = curves_figure(compare([open_entry(text) for text in ("a/000000-1", "a/000000-2", "b")]))
    assert figure is not None
    progress, _, lap_time, _ = figure.axes
    assert [line.get_color() for line in progress.lines] == [color_of(0), color_of(2)]
    assert not lap_time.get_xticks().size
    assert [text.get_text() for text in lap_time.texts] == ["none"]


def test_a_model_does_not_differ_from_itself() -> None:
    same = entry("a", [10.0])
    with pytest.raises(UserError, match="a is named twice"):
        compare([same, same])
    with pytest.raises(UserError, match="confidence"):
        compare([same], 1.0)
