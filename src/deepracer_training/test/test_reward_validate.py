"""Validation: what `validate` finds in reward functions that work, fail, hang or would not run at AWS."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.tracks.track import Track
from deepracer_training.rewards.findings import Finding, ValidationReport
from deepracer_training.rewards.function import RewardFunction
from deepracer_training.rewards.library import example_names, example_source
from deepracer_training.rewards.params import REWARD_KEYS
from deepracer_training.rewards.situations import DRIVING_STEPS, Situation, situations
from deepracer_training.rewards.source_check import check_source
from deepracer_training.rewards.validate import validate

Write = Callable[[str], Path]


@pytest.fixture
def report_of(reward_file: Write, rectangle: Track) -> Callable[[str], ValidationReport]:
    return lambda source: validate(reward_file(source), rectangle)


Report = Callable[[str], ValidationReport]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_a_good_function_passes_without_a_word(report_of: Report) -> None:
    report = report_of("def reward_function(params):\n    return float(params['speed'])\n")
    assert report.ok
    assert report.lines() == []
    assert report.calls > 100
    assert (report.reward_min, report.reward_max) == (0.10003, 4.0)


def test_the_report_is_json(report_of: Report) -> None:
    report = report_of("def reward_function(params):\n    return params['steps'] / 0\n")
    data = json.loads(json.dumps(report.to_dict()))
    assert data["ok"] is False
    assert data["findings"][0]["code"] == "ZeroDivisionError"


def test_a_missing_file(tmp_path: Path, rectangle: Track) -> None:
    with pytest.raises(UserError, match="nowhere"):
        validate(tmp_path / "nowhere.py", rectangle)


def test_a_syntax_error(report_of: Report) -> None:
    finding = only(report_of("def reward_function(params):\n    return (1.0\n").errors)
    assert (finding.code, finding.line) == ("syntax", 2)


def test_a_file_that_fails_when_it_is_loaded(report_of: Report) -> None:
    finding = only(report_of("import os\ntable = [1][5]\ndef reward_function(params):\n    return 1.0\n").errors)
    assert (finding.code, finding.line) == ("IndexError", 2)


def test_an_exception_names_line_and_situations(reward_file: Write, circle: Track) -> None:
    path = reward_file("""
        def reward_function(params):
            if params["is_offtrack"]:
                return 1 / 0
            return float(params["progress"])
    """)
    report = validate(path, circle)
    finding = only(report.errors)
    assert (finding.code, finding.line) == ("ZeroDivisionError", 3)
    assert finding.situation is not None
    assert finding.situation.startswith("off the track to the left")
    assert finding.situations == 24
    assert "reward_function.py:3: error: ZeroDivisionError: division by zero, in `return 1 / 0`" in report.lines()[0]
    assert report.lines()[0].endswith("and 23 other situations)")


def test_different_failures_are_all_named(report_of: Report) -> None:
    report = report_of("""
        def reward_function(params):
            if params["progress"] == 100:
                return params["objects_speed"][0]
            if params["steps"] == 1:
                return float("nan")
            if params["speed"] > 3:
                return 1e6
            if not params["all_wheels_on_track"]:
                return None
            return 1.0
    """)
    assert sorted((finding.code, finding.line) for finding in report.errors) == [
        ("IndexError", 3),
        ("no_number", 1),
        ("not_finite", 1),
        ("out_of_range", 1),
    ]


def test_an_unknown_key_is_found_even_where_it_never_runs(report_of: Report) -> None:
    report = report_of("""
        def reward_function(p):
            if p["speed"] > 100:
                return p["track_widht"]
            return p["speed"]
    """)
    finding = only(report.errors)
    assert (finding.code, finding.line) == ("unknown_key", 3)
    assert "did you mean 'track_width'?" in finding.message


def test_an_unknown_key_that_runs_is_named_once(report_of: Report) -> None:
    report = report_of("def reward_function(params):\n    return params['tack_width']\n")
    assert only(report.errors).code == "unknown_key"


def test_an_endless_loop_ends_with_its_line(reward_file: Write, rectangle: Track) -> None:
    path = reward_file("""
        def reward_function(params):
            if params["is_offtrack"]:
                while True:
                    try:
                        x = 1
                    except Exception:
                        pass
            return params["speed"]
    """)
    report = validate(path, rectangle, call_limit_s=1.0)
    finding = only(report.errors)
    assert finding.code == "hang"
    assert finding.line is not None
    assert 3 <= finding.line <= 5
    assert finding.situation is not None
    assert finding.situation.startswith("off the track")


def test_an_endless_loop_at_the_top_level(reward_file: Write, rectangle: Track) -> None:
    report = validate(reward_file("import math\nwhile True:\n    pass\n"), rectangle, load_limit_s=1.0)
    finding = only(report.errors)
    assert (finding.code, finding.situation, finding.line in (2, 3)) == ("hang", None, True)


def test_a_function_that_ends_the_process(report_of: Report) -> None:
    finding = only(report_of("import os\ndef reward_function(params):\n    os._exit(0)\n").errors)
    assert (finding.code, finding.situations) == ("crash", 1)


def test_a_slow_function(report_of: Report) -> None:
    report = report_of("import time\ndef reward_function(params):\n    time.sleep(0.07)\n    return params['speed']\n")
    assert only(report.errors).code == "too_slow"
    assert report.calls == 5


def test_output_and_input_of_the_function_do_no_harm(report_of: Report) -> None:
    report = report_of("""
        import sys
        def reward_function(params):
            print("hello")
            sys.stdout.write("noise\\n")
            sys.stderr.write("noise\\n")
            return params["speed"]
    """)
    assert report.ok


def test_a_constant_reward_is_a_warning(report_of: Report) -> None:
    report = report_of("def reward_function(params):\n    return 1.0\n")
    assert report.ok
    assert only(report.warnings).code == "constant"


def test_what_aws_would_refuse_are_warnings(report_of: Report) -> None:
    report = report_of("""
        import json
        from os import path
        def reward_function(params):
            import math
            table = json.loads("[1]")
            eval("1")
            return int(params["speed"])
    """)
    assert report.ok
    assert sorted((finding.code, finding.line) for finding in report.warnings) == [
        ("aws_call", 6),
        ("aws_import", 1),
        ("aws_import", 2),
        ("aws_import_place", 4),
        ("aws_text", 5),
        ("aws_type", None),
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("params['speed']", []),
        ("params['speeed']", ["error"]),
        ("params.get('speeed', 1)", ["warning"]),
        ("params.pop('speeed')", ["error"]),
        ("params['mine'] if 'mine' in params else 1.0", []),
        ("params[key]", []),
        ("other['speeed']", []),
    ],
)
def test_keys_in_the_source(line: str, found: list[str]) -> None:
    source = f"def reward_function(params):\n    return {line}\n"
    assert [finding.severity for finding in check_source(source)] == found


def test_keys_that_the_function_adds_itself_are_known() -> None:
    assert check_source("def reward_function(params):\n    params['mine'] = 1\n    return params['mine']\n") == []


def named(found: list[Situation], start: str) -> list[Situation]:
    return [situation for situation in found if situation.name.startswith(start)]


def test_situations_are_what_their_names_say(circle: Track, vehicle: Vehicle) -> None:
    found = situations(circle, vehicle)
    assert all(tuple(situation.params) == REWARD_KEYS for situation in found)
    for situation in found:
        values = [value for value in situation.params.values() if isinstance(value, float)]
        assert np.isfinite(values).all()
        assert situation.params["steps"] >= 1
    checks: list[tuple[str, Callable[[dict[str, object]], object]]] = [
        ("lap complete", lambda p: p["progress"] == 100.0),
        ("behind the start", lambda p: p["progress"] == 0.0),
        ("first step of an episode", lambda p: p["steps"] == 1),
        ("just before the start line", lambda p: p["closest_waypoints"] == [359, 360]),
        ("just behind the start line", lambda p: p["closest_waypoints"] == [0, 1]),
        ("on the centre line", lambda p: p["all_wheels_on_track"]),
        ("left of the centre line", lambda p: p["is_left_of_center"] and p["all_wheels_on_track"]),
        ("right of the centre line", lambda p: not p["is_left_of_center"] and p["all_wheels_on_track"]),
        ("with the left wheels", lambda p: not p["all_wheels_on_track"] and not p["is_offtrack"]),
        ("with the right wheels", lambda p: not p["all_wheels_on_track"] and not p["is_offtrack"]),
        ("off the track to the left", lambda p: p["is_offtrack"] and p["is_left_of_center"]),
        ("off the track to the right", lambda p: p["is_offtrack"] and not p["is_left_of_center"]),
    ]
    for start, holds in checks:
        assert named(found, start), start
        for situation in named(found, start):
            assert holds(situation.params), (situation.name, situation.params)
    angles = {situation.params["steering_angle"] for situation in found}
    assert {0.0, 30.0, -30.0, 0.00071} <= angles


def test_driving_situations_are_consecutive_steps(rectangle: Track, vehicle: Vehicle) -> None:
    drive = [situation.params for situation in named(situations(rectangle, vehicle), "step ")]
    assert [one["steps"] for one in drive] == list(range(1, DRIVING_STEPS + 1))
    # 1.5 m/s are 0.1 m a step; weaving across the line covers a little less along it.
    assert np.diff([one["progress"] for one in drive]) == pytest.approx(100 * 0.1 / 24, rel=0.5)


def test_there_are_examples_to_start_from() -> None:
    assert example_names() == ["avoid_objects", "follow_center", "progress", "stay_inside_and_fast"]
    assert all(ast.get_docstring(ast.parse(example_source(name))) for name in example_names())
    with pytest.raises(UserError, match="did you mean 'progress'"):
        example_source("progres")


@pytest.mark.parametrize("name", ["follow_center", "progress", "stay_inside_and_fast"])
def test_examples_run_here_and_at_aws(name: str, report_of: Report) -> None:
    report = report_of(example_source(name))
    assert report.lines() == []
    assert report.reward_min is not None
    assert report.reward_max is not None
    assert 0.0 <= report.reward_min < report.reward_max <= 2.0


def test_the_progress_example_pays_for_speed_along_the_track(reward_file: Write) -> None:
    function = RewardFunction.load(reward_file(example_source("progress")))

    def reward(steps: int, progress: float, *, wheels: bool = True, off: bool = False, car: int = 0) -> float:
        step = {"steps": steps, "progress": progress, "track_length": 20.0}
        return function({**step, "all_wheels_on_track": wheels, "is_offtrack": off}, car)

    assert reward(1, 0.7) == 0.0
    # 1 % of 20 m are 0.2 m in a 15th of a second, 3 m/s.
    assert reward(2, 1.7) == pytest.approx(1.5)
    assert reward(3, 2.7, wheels=False) == pytest.approx(0.75)
    assert reward(4, 2.6) == 0.0
    assert reward(5, 3.6, off=True) == 0.0
    assert reward(6, 13.6) == 2.0
    # Another car, and the next episode, begin anew.
    assert reward(50, 40.0, car=1) == 0.0
    assert reward(1, 0.7) == 0.0
    assert reward(2, 1.7) == pytest.approx(1.5)
