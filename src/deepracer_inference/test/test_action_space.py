from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from deepracer_inference.action_space import (
    ActionSpace,
    ContinuousActionSpace,
    DiscreteAction,
    DiscreteActionSpace,
    Range,
)
from deepracer_inference.config import StrictModel, parse
from deepracer_inference.errors import UserError


class Holder(StrictModel):
    action_space: ActionSpace


def test_discrete_table_is_in_radians(discrete: DiscreteActionSpace) -> None:
    table = discrete.table()
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, [[-math.pi / 6, 1.0], [0.0, 2.0], [math.pi / 6, 1.0]], rtol=1e-6)
    np.testing.assert_allclose(discrete.low, [-math.pi / 6, 1.0], rtol=1e-6)
    np.testing.assert_allclose(discrete.high, [math.pi / 6, 2.0], rtol=1e-6)
    assert discrete.max_speed == 2.0


def test_continuous_scale_maps_the_ends_and_the_middle(continuous: ContinuousActionSpace) -> None:
    # -20..30 deg has its middle at 5 deg, 1..3 m/s at 2 m/s.
    scaled = continuous.scale(np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [-7.0, 7.0]], dtype=np.float32))
    expected = [[-20, 1], [5, 2], [30, 3], [-20, 3]]
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(np.column_stack([np.rad2deg(scaled[:, 0]), scaled[:, 1]]), expected, rtol=1e-5)
    assert continuous.max_speed == 3.0
    np.testing.assert_allclose(continuous.low, [math.radians(-20), 1.0], rtol=1e-6)
    np.testing.assert_allclose(continuous.high, [math.radians(30), 3.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("steering_angle", "speed"), [(-30.1, 1.0), (30.1, 1.0), (0.0, 0.05), (0.0, 4.1), (math.nan, 1.0)]
)
def test_an_action_beyond_the_limits_is_refused(steering_angle: float, speed: float) -> None:
    with pytest.raises(ValidationError):
        DiscreteAction(steering_angle=steering_angle, speed=speed)


@pytest.mark.parametrize("count", [0, 1, 31])
def test_a_discrete_space_has_2_to_30_actions(count: int) -> None:
    with pytest.raises(ValidationError):
        DiscreteActionSpace(actions=(DiscreteAction(steering_angle=0.0, speed=1.0),) * count)


@pytest.mark.parametrize(
    ("speed", "message"),
    [
        ({"low": 2, "high": 1}, "low is 2.0 and high is 1.0, but low must be smaller than high"),
        ({"low": 1, "high": 5}, "the range is 1.0 to 5.0 m/s, but must lie within 0.1 to 4.0 m/s"),
    ],
)
def test_an_impossible_range_is_explained(speed: dict[str, float], message: str) -> None:
    data = {"action_space": {"kind": "continuous", "steering_angle": {"low": -30, "high": 30}, "speed": speed}}
    with pytest.raises(UserError) as caught:
        parse(data, Holder, "model.yaml")
    assert str(caught.value) == f"model.yaml: action_space.speed: {message}"


def test_the_kind_chooses_the_class(discrete: DiscreteActionSpace, continuous: ContinuousActionSpace) -> None:
    for space in (discrete, continuous):
        assert parse({"action_space": space.model_dump()}, Holder, "x").action_space == space
    assert Range(low=0, high=1) == Range(low=0.0, high=1.0)
