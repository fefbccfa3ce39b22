"""The race rules, on a rectangle of 8 m x 4 m, where every distance can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepracer_inference.config import parse
from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.race import STATUSES, EpisodeStatus, RaceRules, Referee, Verdict
from deepracer_sim.simulator import CarStates, FloatArray
from deepracer_sim.tracks.track import Track

PERIOD_NS = 66_666_667
NOSE = 0.14
LENGTH = 24.0

TRACK = Track(
    "rectangle",
    center=[(2.0, 0.0), (8.0, 0.0), (8.0, 4.0), (0.0, 4.0), (0.0, 0.0)],
    inner=[(2.0, 0.5), (7.5, 0.5), (7.5, 3.5), (0.5, 3.5), (0.5, 0.5)],
    outer=[(2.0, -0.5), (8.5, -0.5), (8.5, 4.5), (-0.5, 4.5), (-0.5, -0.5)],
)
"""Counter-clockwise, 1 m wide, 24 m long; the start line is on the lower straight, which leads in +x, at x = 2."""

VEHICLE = load_vehicle("deepracer")


def make_referee(rules: RaceRules, cars: int = 1, track: Track = TRACK, period_ns: int = PERIOD_NS) -> Referee:
    return Referee(track, VEHICLE, rules, cars, period_ns)


def states(poses: FloatArray) -> CarStates:
    poses = np.asarray(poses, dtype=np.float64).reshape(-1, 3)
    x, y, yaw = poses.T.copy()
    zero = np.zeros(len(poses))
    return CarStates(x, y, yaw, zero, zero, zero, zero, 0)


def start_at(referee: Referee, *pose: float) -> None:
    referee.start(np.array([0]), np.array([pose]))


def judge(referee: Referee, *pose: float) -> Verdict:
    return referee.judge(states(np.array([pose])))


def status(verdict: Verdict, car: int = 0) -> EpisodeStatus:
    return STATUSES[verdict.status[car]]


def drive(referee: Referee, start: float, step: float, steps: int, track: Track = TRACK) -> Verdict:
    """Move one car along the centre line from arc length `start` until the steps are used up or the episode ends."""
    for k in range(1, steps + 1):
        verdict = referee.judge(states(track.pose_at(start + k * step)))
        if verdict.done[0]:
            break
    return verdict


def test_position_of_a_car_on_the_straight() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    verdict = judge(referee, 4.0, 0.1, 0.0)
    np.testing.assert_allclose(verdict.nose, [[4.14, 0.1]])
    assert verdict.arc_length[0] == pytest.approx(2.14)
    assert verdict.lateral[0] == pytest.approx(0.1)
    assert verdict.left_of_center[0]
    assert verdict.road_width[0] == pytest.approx(1.0)
    assert verdict.closest.tolist() == [[0, 1]]
    assert verdict.progress[0] == pytest.approx(100 * 1.14 / LENGTH)
    assert verdict.steps.tolist() == [1]
    assert status(verdict) is EpisodeStatus.IN_PROGRESS


def test_next_waypoint_after_the_last_is_the_closing_row() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 0.5, 0.0, 0.0)
    assert judge(referee, 1.0, 0.0, 0.0).closest.tolist() == [[4, 5]]


@pytest.mark.parametrize(
    ("y", "on_track"),
    [
        # Rear wheels stand 0.08105 m left and right of the middle, front wheels 0.0796 m; the border is at y = 0.5.
        (0.4189, [True, True, True, True]),
        (0.4195, [False, True, True, True]),
        (0.4205, [False, True, False, True]),
        (0.5790, [False, True, False, True]),
        (0.5800, [False, True, False, False]),
        (0.5815, [False, False, False, False]),
    ],
)
def test_wheels_leave_the_track_one_by_one(y: float, on_track: list[bool]) -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    verdict = judge(referee, 4.0, y, 0.0)
    assert verdict.wheels_on_track[0].tolist() == on_track
    assert bool(verdict.is_offtrack[0]) is not any(on_track)
    assert bool(verdict.done[0]) is not any(on_track)
    assert status(verdict) is (EpisodeStatus.IN_PROGRESS if any(on_track) else EpisodeStatus.OFF_TRACK)


def test_left_of_center_is_the_drivers_left_in_both_directions() -> None:
    backwards = TRACK.reversed()
    referee = make_referee(RaceRules.training(), track=backwards)
    start_at(referee, 3.0, 0.0, math.pi)
    verdict = judge(referee, 2.9, 0.1, math.pi)
    assert not verdict.left_of_center[0]
    assert verdict.lateral[0] == pytest.approx(-0.1)


def test_progress_counts_from_the_place_where_base_link_started() -> None:
    # As in AWS's traces, whose first row has 100 * 0.14 / track length.
    referee = make_referee(RaceRules.training())
    start_at(referee, 5.0, 0.0, 0.0)
    assert judge(referee, 5.0, 0.0, 0.0).progress[0] == pytest.approx(100 * NOSE / LENGTH)


def test_start_just_before_the_start_line() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 1.95, 0.0, 0.0)  # 5 cm before the line, so the nose is beyond it
    verdict = judge(referee, 1.95, 0.0, 0.0)
    assert verdict.progress[0] == pytest.approx(100 * NOSE / LENGTH)
    verdict = judge(referee, 2.25, 0.0, 0.0)
    assert verdict.progress[0] == pytest.approx(100 * (NOSE + 0.3) / LENGTH)
    assert verdict.arc_length[0] == pytest.approx(0.39)
    verdict = drive(referee, start=0.25, step=0.25, steps=1000)
    assert status(verdict) is EpisodeStatus.LAP_COMPLETE


def test_start_with_the_nose_just_before_the_start_line() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 1.8, 0.0, 0.0)  # nose at 1.94
    for k in range(1, 6):
        verdict = judge(referee, 1.8 + 0.05 * k, 0.0, 0.0)  # the second step takes the nose over the line
        assert verdict.progress[0] == pytest.approx(100 * (NOSE + 0.05 * k) / LENGTH)
        assert status(verdict) is EpisodeStatus.IN_PROGRESS


def test_backwards_over_the_start_line_is_no_lap() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 2.05, 0.0, 0.0)
    progress = [judge(referee, 2.05 - 0.1 * k, 0.0, 0.0).progress[0] for k in range(1, 6)]
    assert progress == pytest.approx([100 * 0.04 / LENGTH, 0.0, 0.0, 0.0, 0.0])
    # What was lost has to be driven again.
    assert judge(referee, 2.05, 0.0, 0.0).progress[0] == pytest.approx(100 * NOSE / LENGTH)


@pytest.mark.parametrize("start", [3.0, 0.0, 23.95, 11.0])
def test_lap_time_is_interpolated_at_the_finish_line(start: float) -> None:
    # The nose has 24 - 0.14 = 23.86 m to go, except that it cuts nothing: the start is on a straight.
    referee = make_referee(RaceRules.training())
    referee.start(np.array([0]), TRACK.pose_at(start))
    verdict = drive(referee, start, step=0.3, steps=1000)
    assert status(verdict) is EpisodeStatus.LAP_COMPLETE
    assert verdict.done[0]
    assert verdict.progress[0] == 100.0
    assert verdict.steps[0] == 80  # 79.53
    assert verdict.lap_time_s[0] == pytest.approx(23.86 / 0.3 * PERIOD_NS * 1e-9, abs=2e-9)


def test_following_laps_begin_and_end_at_the_line_of_the_first() -> None:
    referee = make_referee(RaceRules.evaluation())
    referee.start(np.array([0]), TRACK.pose_at(3.0))
    lap_times, steps, at = [], [], 3.0
    for _ in range(4):
        verdict = drive(referee, at, step=0.7, steps=100)
        assert status(verdict) is EpisodeStatus.LAP_COMPLETE
        lap_times.append(float(verdict.lap_time_s[0]))
        steps.append(int(verdict.steps[0]))
        at += 0.7 * steps[-1]
        referee.next_lap(np.array([0]))
    # The first lap is shorter by the way from base_link to the nose. 23.86 / 0.7 = 34.09, then 34.29 each.
    metres = [23.86, 24.0, 24.0, 24.0]
    np.testing.assert_allclose(lap_times, [way / 0.7 * PERIOD_NS * 1e-9 for way in metres], rtol=0, atol=5e-9)
    assert steps == [35, 34, 34, 34]  # the line is crossed within step 34.09, 68.37, 102.66 and 136.94


def test_a_following_lap_counts_its_own_violations() -> None:
    referee = make_referee(RaceRules.evaluation())
    start_at(referee, 3.0, 0.0, 0.0)
    judge(referee, 3.0, 0.8, 0.0)
    for _ in range(30):
        judge(referee, 3.0, 0.0, 0.0)
    assert drive(referee, start=1.0, step=0.3, steps=1000).off_track[0] == 1
    referee.next_lap(np.array([0]))
    verdict = drive(referee, start=1.1, step=0.3, steps=1000)
    assert status(verdict) is EpisodeStatus.LAP_COMPLETE
    assert verdict.off_track[0] == verdict.resets[0] == 0


def test_lap_time_is_nan_before_the_finish() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    assert math.isnan(judge(referee, 3.1, 0.0, 0.0).lap_time_s[0])


def test_who_crosses_the_finish_line_has_finished_even_beside_the_track() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    drive(referee, start=1.0, step=0.25, steps=90)  # up to 23.5 m, which is x = 1.5
    verdict = judge(referee, 2.9, -0.6, 0.0)
    assert verdict.is_offtrack[0]
    assert status(verdict) is EpisodeStatus.LAP_COMPLETE
    assert verdict.off_track[0] == 0


def test_an_ended_episode_is_parked_until_a_new_one_starts() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    assert judge(referee, 3.0, 2.0, 0.0).done[0]
    verdict = judge(referee, 3.1, 0.0, 0.0)
    assert status(verdict) is EpisodeStatus.PARK
    assert not verdict.done[0]
    assert [command.tolist() for command in referee.govern(np.array([0.3]), np.array([2.0]))] == [[0.0], [0.0]]
    start_at(referee, 3.0, 0.0, 0.0)
    assert [command.tolist() for command in referee.govern(np.array([0.3]), np.array([2.0]))] == [[0.3], [2.0]]
    verdict = judge(referee, 3.1, 0.0, 0.0)
    assert (status(verdict), verdict.steps[0], verdict.off_track[0]) == (EpisodeStatus.IN_PROGRESS, 1, 0)


def test_starting_the_next_episode_leaves_the_verdict_readable() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    drive(referee, start=1.0, step=0.2, steps=10)
    verdict = judge(referee, 5.0, 2.0, 0.0)
    before = (status(verdict), verdict.steps[0], verdict.progress[0], verdict.off_track[0])
    start_at(referee, 3.0, 0.0, 0.0)
    assert (status(verdict), verdict.steps[0], verdict.progress[0], verdict.off_track[0]) == before
    assert before[:2] == (EpisodeStatus.OFF_TRACK, 11)


@pytest.mark.parametrize(("step", "stuck"), [(0.0, True), (0.00029, True), (0.0004, False)])
def test_immobilized_after_15_steps_without_moving(step: float, stuck: bool) -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    statuses = [status(judge(referee, 3.0 + k * step, 0.0, 0.0)) for k in range(1, 16)]
    assert statuses[:14] == [EpisodeStatus.IN_PROGRESS] * 14
    assert statuses[14] is (EpisodeStatus.IMMOBILIZED if stuck else EpisodeStatus.IN_PROGRESS)


def test_one_moving_step_restarts_the_immobilized_count() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    for _ in range(14):
        judge(referee, 3.0, 0.0, 0.0)
    for _ in range(15):
        assert status(judge(referee, 3.1, 0.0, 0.0)) is EpisodeStatus.IN_PROGRESS
    assert status(judge(referee, 3.1, 0.0, 0.0)) is EpisodeStatus.IMMOBILIZED


def test_reversed_after_15_steps_of_losing_progress() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 7.0, 0.0, 0.0)
    for k in range(1, 15):
        assert status(judge(referee, 7.0 - 0.1 * k, 0.0, 0.0)) is EpisodeStatus.IN_PROGRESS
    assert status(judge(referee, 5.6, 0.0, 0.0)) is EpisodeStatus.IN_PROGRESS  # neither lost nor won
    for k in range(1, 15):
        assert status(judge(referee, 5.6 - 0.1 * k, 0.0, 0.0)) is EpisodeStatus.IN_PROGRESS
    verdict = judge(referee, 4.1, 0.0, 0.0)
    assert status(verdict) is EpisodeStatus.REVERSED
    assert verdict.done[0]
    assert verdict.reversed[0] == 1


def test_reversed_is_noticed_behind_the_start_where_progress_shows_0() -> None:
    referee = make_referee(RaceRules.training())
    start_at(referee, 3.0, 0.0, 0.0)
    verdict = drive(referee, start=1.0, step=-0.1, steps=100)
    assert (status(verdict), verdict.steps[0], verdict.progress[0]) == (EpisodeStatus.REVERSED, 15, 0.0)


def test_time_up_after_max_steps() -> None:
    referee = make_referee(RaceRules.training(max_steps=7))
    start_at(referee, 3.0, 0.0, 0.0)
    verdict = drive(referee, start=1.0, step=0.1, steps=100)
    assert (status(verdict), verdict.steps[0]) == (EpisodeStatus.TIME_UP, 7)


def test_a_violation_in_evaluation_costs_the_penalty_and_no_progress() -> None:
    referee = make_referee(RaceRules.evaluation())
    start_at(referee, 3.0, 0.0, 0.0)
    before = drive(referee, start=1.0, step=0.1, steps=20).progress[0]  # base_link at x = 5
    verdict = judge(referee, 5.1, 0.7, 0.3)
    assert status(verdict) is EpisodeStatus.OFF_TRACK
    assert not verdict.done[0]
    assert verdict.replaced[0]
    np.testing.assert_allclose(verdict.replace_pose, [[5.0, 0.0, 0.0]], atol=1e-12)
    assert verdict.pause_s[0] == pytest.approx(2.0)
    assert (verdict.off_track[0], verdict.resets[0]) == (1, 1)

    # 2 s are 30 steps.
    for k in range(1, 31):
        steering_angle, speed = referee.govern(np.array([0.3]), np.array([2.0]))
        assert (steering_angle[0], speed[0]) == (0.0, 0.0)
        verdict = judge(referee, 5.0, 0.0, 0.0)
        assert status(verdict) is EpisodeStatus.PAUSE
        assert not verdict.replaced[0]
        assert verdict.pause_s[0] == pytest.approx(2.0 - k / 15)
        assert verdict.progress[0] == pytest.approx(before)
    assert referee.govern(np.array([0.3]), np.array([2.0]))[1][0] == 2.0
    verdict = judge(referee, 5.1, 0.0, 0.0)
    assert status(verdict) is EpisodeStatus.IN_PROGRESS
    assert verdict.steps[0] == 20 + 1 + 30 + 1


def test_lap_time_includes_the_penalty() -> None:
    referee = make_referee(RaceRules.evaluation())
    start_at(referee, 3.0, 0.0, 0.0)
    drive(referee, start=1.0, step=0.3, steps=10)
    judge(referee, 6.3, 0.7, 0.0)
    for _ in range(30):
        judge(referee, 6.0, 0.0, 0.0)
    verdict = drive(referee, start=4.0, step=0.3, steps=1000)
    assert status(verdict) is EpisodeStatus.LAP_COMPLETE
    assert verdict.lap_time_s[0] == pytest.approx((31 + 23.86 / 0.3) * PERIOD_NS * 1e-9, abs=2e-9)


def test_re_placement_in_a_bend_neither_gives_nor_takes_progress() -> None:
    angle = np.linspace(0.0, 2 * np.pi, 360, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    track = Track("circle", circle, 0.6 * circle, 1.4 * circle)
    referee = make_referee(RaceRules.evaluation(), track=track)
    referee.start(np.array([0]), track.pose_at(0.0))
    before = drive(referee, start=0.0, step=0.1, steps=20, track=track).progress[0]
    verdict = judge(referee, 5.0, 5.0, 0.0)
    after = referee.judge(states(verdict.replace_pose)).progress[0]
    # The nose points out of the bend: 0.14 m along the tangent are atan(0.14) = 0.1391 m along the circle.
    assert after == pytest.approx(before, abs=100 * 0.002 / track.length)
    # Progress goes on to mean the place on the track: driving on from there finishes where the lap began.
    start = track.project(verdict.replace_pose[:, :2]).arc_length[0]
    for _ in range(30):
        referee.judge(states(verdict.replace_pose))
    verdict = drive(referee, start, step=0.1, steps=1000, track=track)
    assert status(verdict) is EpisodeStatus.LAP_COMPLETE
    assert min(verdict.arc_length[0], track.length - verdict.arc_length[0]) < 0.1


def test_off_track_far_away_goes_back_to_the_last_good_place() -> None:
    # Across the rectangle: the nearest centre line is the opposite straight, half a lap ahead.
    referee = make_referee(RaceRules.evaluation())
    start_at(referee, 3.0, 0.0, 0.0)
    drive(referee, start=1.0, step=0.1, steps=20)
    verdict = judge(referee, 5.0, 3.0, 0.0)
    assert verdict.replaced[0]
    np.testing.assert_allclose(verdict.replace_pose, [[5.0, 0.0, 0.0]], atol=1e-12)


def test_standing_still_in_evaluation_costs_no_penalty() -> None:
    referee = make_referee(RaceRules.evaluation())
    start_at(referee, 3.0, 0.0, 0.0)
    for _ in range(15):
        verdict = judge(referee, 3.0, 0.0, 0.0)
    assert status(verdict) is EpisodeStatus.IMMOBILIZED
    assert (verdict.replaced[0], verdict.pause_s[0], verdict.immobilized[0]) == (True, 0.0, 1)
    assert status(judge(referee, 3.1, 0.0, 0.0)) is EpisodeStatus.IN_PROGRESS


def test_reversing_in_evaluation_costs_the_off_track_penalty() -> None:
    referee = make_referee(RaceRules.evaluation())
    start_at(referee, 7.0, 0.0, 0.0)
    verdict = judge(referee, 7.0, 0.0, 0.0)
    for k in range(1, 16):
        verdict = judge(referee, 7.0 - 0.1 * k, 0.0, 0.0)
    assert (status(verdict), verdict.reversed[0]) == (EpisodeStatus.REVERSED, 1)
    assert verdict.pause_s[0] == pytest.approx(2.0)
    np.testing.assert_allclose(verdict.replace_pose, [[5.6, 0.0, 0.0]], atol=1e-12)


def test_one_violation_more_than_max_resets_ends_the_trial() -> None:
    rules = RaceRules(max_resets=2, off_track_penalty_s=0.0)
    referee = make_referee(rules)
    start_at(referee, 3.0, 0.0, 0.0)
    ends = []
    for _ in range(3):
        verdict = judge(referee, 3.0, 2.0, 0.0)
        ends.append(
            (bool(verdict.replaced[0]), bool(verdict.done[0]), int(verdict.resets[0]), int(verdict.off_track[0]))
        )
    assert ends == [(True, False, 1, 1), (True, False, 2, 2), (False, True, 2, 3)]
    assert status(verdict) is EpisodeStatus.OFF_TRACK


@pytest.mark.parametrize(("rate_hz", "steps"), [(15, 30), (30, 60), (60, 120), (10, 20)])
def test_penalty_lasts_whole_periods_at_any_rate(rate_hz: int, steps: int) -> None:
    referee = make_referee(RaceRules.evaluation(), period_ns=round(1e9 / rate_hz))
    start_at(referee, 3.0, 0.0, 0.0)
    pose = judge(referee, 3.0, 2.0, 0.0).replace_pose[0].copy()
    paused = 0
    while status(judge(referee, *pose)) is EpisodeStatus.PAUSE:
        paused += 1
    assert paused == steps


def test_verdict_of_a_car_does_not_depend_on_the_others() -> None:
    random = np.random.default_rng(5)
    cars, steps = 16, 120
    arc = random.uniform(0, LENGTH, cars) + np.cumsum(random.normal(0.1, 0.15, (steps, cars)), axis=0)
    lateral = np.cumsum(random.normal(0.0, 0.06, (steps, cars)), axis=0)
    poses = np.stack([TRACK.pose_at(s, d) for s, d in zip(arc, lateral, strict=True)])
    poses[:, :, 2] += random.normal(0.0, 0.4, (steps, cars))

    def run(which: list[int]) -> list[bytes]:
        referee = make_referee(RaceRules(max_resets=3, off_track_penalty_s=0.5), cars=len(which))
        referee.start(np.arange(len(which)), poses[0, which])
        seen: list[list[bytes]] = [[] for _ in which]
        for pose in poses[1:, which]:
            verdict = referee.judge(states(pose))
            for k in range(len(which)):
                seen[k].append(b"".join(np.ascontiguousarray(getattr(verdict, n)[k]).tobytes() for n in vars(verdict)))
        return [b"".join(one) for one in seen]

    together = run(list(range(cars)))
    assert together == [run([car])[0] for car in range(cars)]
    assert together == run(list(range(cars)))


def test_cars_that_never_started_are_parked() -> None:
    referee = make_referee(RaceRules.training(), cars=2)
    referee.start(np.array([1]), np.array([[3.0, 0.0, 0.0]]))
    verdict = referee.judge(states(np.array([[0.0, 9.0, 0.0], [3.1, 0.0, 0.0]])))
    assert [status(verdict, car) for car in range(2)] == [EpisodeStatus.PARK, EpisodeStatus.IN_PROGRESS]
    assert verdict.done.tolist() == [False, False]


def test_statuses_have_the_names_of_awss_traces_and_metrics() -> None:
    assert {status.value for status in STATUSES} == {
        "prepare",
        "in_progress",
        "lap_complete",
        "off_track",
        "crashed",
        "immobilized",
        "reversed",
        "time_up",
        "pause",
        "park",
    }
    assert [EpisodeStatus.OFF_TRACK.label, EpisodeStatus.LAP_COMPLETE.label, EpisodeStatus.TIME_UP.label] == [
        "Off track",
        "Lap complete",
        "Time Up",
    ]


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(UserError, match="off_track_penalty_s"):
        parse({"off_track_penalty_s": -1.0}, RaceRules, "rules.yaml")
