"""Loading and calling the user's reward function, and what is said when it does not work."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_training.rewards.function import RewardError, RewardFunction

Write = Callable[[str], Path]

PARAMS = {"speed": 2.0, "steps": 3, "track_width": 1.0, "waypoints": [(0.0, 0.0), (1.0, 0.0)], "objects_speed": []}


def params(**changes: Any) -> dict[str, Any]:
    return {**PARAMS, **changes}


def failure(path: Path, given: dict[str, Any] | None = None) -> RewardError:
    """Return the error of loading and, if that works, of calling the function."""
    with pytest.raises(RewardError) as caught:
        RewardFunction.load(path)(params() if given is None else given, 0)
    return caught.value


def test_calls_the_users_function(reward_file: Write) -> None:
    function = RewardFunction.load(reward_file("def reward_function(params):\n    return params['speed'] / 4\n"))
    assert function(params(), 0) == 0.5


@pytest.mark.parametrize("value", ["1", "True", "numpy.float32(1)", "numpy.array(1.0)", "numpy.array([1.0])[0]"])
def test_any_number_will_do(reward_file: Write, value: str) -> None:
    function = RewardFunction.load(reward_file(f"import numpy\ndef reward_function(params):\n    return {value}\n"))
    reward = function(params(), 0)
    assert (type(reward), reward) == (float, 1.0)


def test_imports_that_aws_allows(reward_file: Write) -> None:
    source = """
        import math
        import random
        import numpy as np
        from scipy.spatial.distance import euclidean
        from shapely.geometry import LineString, Point

        def reward_function(params):
            line = LineString(params["waypoints"])
            return float(np.round(line.distance(Point(0.5, 2.0)) + euclidean([0], [1]) + math.floor(random.random())))
    """
    assert RewardFunction.load(reward_file(source))(params(), 0) == 3.0


REMEMBERING = """
    from dataclasses import dataclass

    @dataclass
    class State:
        calls: int = 0

    state = State()

    def reward_function(params):
        state.calls += 1
        return float(state.calls)
"""


def test_globals_persist_from_step_to_step(reward_file: Write) -> None:
    function = RewardFunction.load(reward_file(REMEMBERING))
    assert [function(params(), 0) for _ in range(3)] == [1.0, 2.0, 3.0]


def test_each_car_has_globals_of_its_own(reward_file: Write) -> None:
    function = RewardFunction.load(reward_file(REMEMBERING))
    rewards = [[function(params(), car) for car in (2, 0, 1)] for _ in range(2)]
    assert rewards == [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]


def test_a_fresh_copy_remembers_nothing(reward_file: Write) -> None:
    function = RewardFunction.load(reward_file(REMEMBERING))
    function(params(), 0)
    other = function.fresh()
    assert other(params(), 0) == 1.0
    assert function(params(), 0) == 2.0


def test_the_loaded_function_does_not_change_with_the_file(reward_file: Write) -> None:
    path = reward_file("def reward_function(params):\n    return 1.0\n")
    function = RewardFunction.load(path)
    reward_file("def reward_function(params):\n    return 2.0\n")
    assert (function(params(), 0), function(params(), 5)) == (1.0, 1.0)
    assert RewardFunction.load(path)(params(), 0) == 2.0


def test_random_numbers_repeat_with_the_seed(reward_file: Write) -> None:
    path = reward_file("""
        import random
        import numpy as np
        def reward_function(params):
            return random.random() + np.random.rand()
    """)

    def draw(seed: int) -> list[float]:
        function = RewardFunction.load(path, seed=seed)
        return [function(params(), car) for car in (0, 1, 0)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_print_goes_to_the_log(
    reward_file: Write, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    function = RewardFunction.load(
        reward_file("def reward_function(params):\n    print('at', params['speed'], sep=': ')\n    return 1.0\n")
    )
    with caplog.at_level(logging.DEBUG, logger="deepracer_training.rewards.function"):
        function(params(), 0)
    assert caplog.messages == ["at: 2.0"]
    assert capsys.readouterr().out == ""


def test_a_script_part_does_not_run(reward_file: Write) -> None:
    source = "def reward_function(params):\n    return 1.0\nif __name__ == '__main__':\n    raise SystemExit\n"
    assert RewardFunction.load(reward_file(source))(params(), 0) == 1.0


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reward_function\.py"):
        RewardFunction.load(tmp_path / "reward_function.py")


def test_syntax_error_names_the_line(reward_file: Write) -> None:
    error = failure(reward_file("import math\n\ndef reward_function(params)\n    return 1.0\n"))
    assert (error.kind, error.line) == ("syntax", 3)
    assert "reward_function.py:3: expected ':', in `def reward_function(params)`" in str(error)


def test_import_error_names_line_and_module(reward_file: Write) -> None:
    error = failure(reward_file("import math\nimport no_such_module\n\ndef reward_function(params):\n    return 1.0\n"))
    assert (error.kind, error.line) == ("ModuleNotFoundError", 2)
    assert "no_such_module" in str(error)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1\n", "there is no `def reward_function"),
        ("def reward_funktion(params):\n    return 1.0\n", "is `reward_funktion` meant?"),
        ("reward_function = 3\n", "there is no `def reward_function"),
        ("def reward_function():\n    return 1.0\n", r"defined as `reward_function\(\)`"),
        ("def reward_function(a, b):\n    return 1.0\n", r"one argument, .*`reward_function\(a, b\)`"),
    ],
)
def test_no_usable_function(reward_file: Write, source: str, words: str) -> None:
    path = reward_file(source)
    with pytest.raises(RewardError, match=words):
        RewardFunction.load(path)


def test_a_method_or_a_callable_object_will_do(reward_file: Write) -> None:
    source = """
        class Reward:
            def __call__(self, params, extra=0):
                return params["speed"]

        reward_function = Reward()
    """
    assert RewardFunction.load(reward_file(source))(params(), 0) == 2.0


def test_exception_names_the_users_line_and_keeps_the_step(reward_file: Write) -> None:
    path = reward_file("""
        def share(params):
            return params["speed"] / params["steps"]

        def reward_function(params):
            params["speed"] = 99
            return share(params)
    """)
    error = failure(path, params(steps=0))
    assert (error.kind, error.line) == ("ZeroDivisionError", 2)
    assert str(error) == f'{path}:2: ZeroDivisionError: division by zero, in `return params["speed"] / params["steps"]`'
    assert error.params == params(steps=0)


def test_exception_inside_a_library_names_the_users_line(reward_file: Write) -> None:
    error = failure(reward_file("import json\ndef reward_function(params):\n    x = 1\n    return json.loads('{')\n"))
    assert (error.kind, error.line) == ("JSONDecodeError", 4)


def test_unknown_key_suggests_the_nearest(reward_file: Write) -> None:
    error = failure(reward_file("def reward_function(params):\n    return params['track_widht']\n"))
    assert "KeyError: 'track_widht'; did you mean 'track_width'?" in str(error)


def test_exit_is_an_error_and_not_the_end(reward_file: Write) -> None:
    assert "ends the whole program" in str(failure(reward_file("def reward_function(params):\n    exit(0)\n")))
    assert failure(reward_file("import sys\nsys.exit(1)\n")).line == 2


def test_endless_recursion_is_an_error(reward_file: Write) -> None:
    error = failure(reward_file("def reward_function(params):\n    return reward_function(params)\n"))
    assert (error.kind, error.line) == ("RecursionError", 2)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("None", "no_number", "returned nothing"),
        ("'much'", "no_number", "returned 'much', of type str"),
        ("'1.0'", "no_number", "returned '1.0', of type str"),
        ("[1.0]", "no_number", r"returned \[1.0\], of type list"),
        ("1j", "no_number", "of type complex"),
        ("float('nan')", "not_finite", "returned nan"),
        ("-float('inf')", "not_finite", "returned -inf"),
        ("10**400", "out_of_range", "returned 1000.*, but AWS allows"),
        ("100001", "out_of_range", "returned 100001, but AWS allows -100000 to 100000"),
        ("-1.1e5", "out_of_range", "returned -110000"),
    ],
)
def test_what_is_no_reward(reward_file: Write, value: str, kind: str, words: str) -> None:
    path = reward_file(f"LIMIT = 1\n\ndef reward_function(params):\n    return {value}\n")
    with pytest.raises(RewardError, match=words) as caught:
        RewardFunction.load(path)(params(), 0)
    assert (caught.value.kind, caught.value.line, caught.value.params) == (kind, 3, params())


@pytest.mark.parametrize("value", ["1e5", "-1e5"])
def test_the_limits_themselves_are_allowed(reward_file: Write, value: str) -> None:
    assert abs(RewardFunction.load(reward_file(f"def reward_function(p):\n    return {value}\n"))(params(), 0)) == 1e5


def test_failed_step_is_saved_as_json(reward_file: Write, tmp_path: Path) -> None:
    path = reward_file("def reward_function(params):\n    return 1 / 0\n")
    failure(path).save_failed_step(tmp_path / "failed_step.json")
    saved = json.loads((tmp_path / "failed_step.json").read_text(encoding="utf-8"))
    assert saved["reward_function"] == str(path)
    assert (saved["line"], "division by zero" in saved["error"]) == (2, True)
    assert saved["params"] == {**PARAMS, "waypoints": [[0.0, 0.0], [1.0, 0.0]]}


def test_failed_step_that_cannot_be_saved(reward_file: Write, tmp_path: Path) -> None:
    error = failure(reward_file("def reward_function(params):\n    return None\n"))
    with pytest.raises(DeepRacerError, match="missing"):
        error.save_failed_step(tmp_path / "missing" / "failed_step.json")
