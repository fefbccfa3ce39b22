"""Object avoidance and head-to-head from the environment to the files of an evaluation, and races between models."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.errors import UserError
from deepracer_inference.policy_file import PolicyFile
from deepracer_inference.runtime import Command
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.lanes import Lanes
from deepracer_sim.race.referee import Referee
from deepracer_sim.race.rules import EpisodeStatus, RaceRules
from deepracer_sim.race_settings import BoxPosition, BoxSettings, RaceSettings
from deepracer_sim.simulator import CarStates, FloatArray, IntArray
from deepracer_sim.tracks.library import load_track
from deepracer_training.environment import RacingEnv
from deepracer_training.evaluation import evaluate
from deepracer_training.learner import embedded_fleet, make_env
from deepracer_training.models.config import ModelConfig, TrainingConfig, preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.race_files import write_race
from deepracer_training.racing import race
from deepracer_training.rewards.function import RewardFunction
from deepracer_training.rewards.library import example_source
from deepracer_training.training import train

TRACK = "oval"


def small_config(name: str, race_type: str = "object_avoidance", race: RaceSettings | None = None) -> ModelConfig:
    base = preset_config("fast", name=name, track=TRACK)
    data = base.model_dump() | {
        "race_type": race_type,
        "race": None if race is None else race.model_dump(),
        "training": TrainingConfig(cars=4, horizon_steps=16, max_episode_steps=80).model_dump(),
        "hyperparameters": base.hyperparameters.model_dump() | {"batch_size": 32, "num_epochs": 3},
    }
    return ModelConfig.model_validate(data)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModelFolder]]:
    """Two models that have hardly been trained, one for boxes and one for bot cars."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepracer_sim.camera.world.FINEST_TEXEL", 0.02)
        patch.setenv("DEEPRACER_HOME", str(tmp_path_factory.mktemp("home")))
        folders = {}
        for name, race_type in (("boxer", "object_avoidance"), ("chaser", "head_to_head")):
            folders[name] = ModelFolder.create(name, small_config(name, race_type), example_source("avoid_objects"))
            train(folders[name], steps=4 * 16)
        yield folders


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """These policies never finish; nobody wants to watch that for two minutes."""
    monkeypatch.setattr("deepracer_sim.camera.world.FINEST_TEXEL", 0.02)
    for module in ("evaluation", "racing"):
        monkeypatch.setattr(f"deepracer_training.{module}.lap_limit_s", lambda *arguments, **options: 9.0)


def environment(tmp_path: Path, race: RaceSettings, seed: int = 0, cars: int = 4) -> RacingEnv:
    path = tmp_path / "reward_function.py"
    path.write_text("def reward_function(params):\n    return 1.0\n")
    kind = "object_avoidance" if race.boxes else "head_to_head"
    config = small_config("x", kind, race)
    config = config.model_copy(update={"training": config.training.model_copy(update={"cars": cars})})
    return make_env(config, embedded_fleet(config, seed).cars, RewardFunction.load(path), seed, "random")


def test_episodes_of_training_end_with_a_crash(tmp_path: Path) -> None:
    places = tuple(BoxPosition(at=at) for at in (0.1, 0.4, 0.7))
    env = environment(tmp_path, RaceSettings(boxes=BoxSettings(positions=places)))
    objects = env.simulator.objects
    assert objects is not None
    env.reset(seed=1)
    # Straight at the next box: steer so that the nose points at it.
    for _ in range(120):
        state = env.simulator.state()
        target = objects.poses[np.arange(4), _next(objects.arc_length, _place(state))]
        bearing = np.arctan2(target[:, 1] - state.y, target[:, 0] - state.x) - state.yaw
        steering = np.clip(np.arctan2(np.sin(bearing), np.cos(bearing)) / np.radians(25.0), -1, 1)
        _, _, terminated, _, info = env.step(np.column_stack([steering, np.full(4, -1.0)]))
        if terminated.any():
            assert info["final_obs"].shape[0] == 4
    episodes = env.pop_episodes()
    assert len(episodes) >= 4
    crashed = [episode for episode in episodes if episode.status is EpisodeStatus.CRASHED]
    assert len(crashed) > 0.7 * len(episodes)


def _place(state: CarStates) -> FloatArray:
    return load_track(TRACK).project(np.column_stack([state.x, state.y])).arc_length


def _next(arc_length: FloatArray, place: FloatArray) -> IntArray:
    return np.asarray(np.argmin((arc_length - place[:, None]) % load_track(TRACK).length, axis=1), np.int64)


def test_equal_seeds_meet_equal_objects_and_a_resumed_environment_goes_on(tmp_path: Path) -> None:
    race = RaceSettings.for_type("head_to_head")
    assert race is not None
    one, same, other = (environment(tmp_path, race, seed) for seed in (3, 3, 4))
    actions = np.zeros((4, 2))
    for env in (one, same, other):
        env.reset()
        for _ in range(40):
            observation, *_ = env.step(actions)
    assert one.simulator.objects is not None
    assert same.simulator.objects is not None
    assert other.simulator.objects is not None
    np.testing.assert_array_equal(one.simulator.objects.poses, same.simulator.objects.poses)
    assert not np.array_equal(one.simulator.objects.poses, other.simulator.objects.poses)
    state = json.loads(json.dumps(one.random_state()))
    resumed = environment(tmp_path, race, 3)
    resumed.set_random_state(state)
    for env in (one, resumed):
        env._start(np.arange(4))
    np.testing.assert_array_equal(one.simulator.images(), resumed.simulator.images())
    assert resumed.simulator.objects is not None
    np.testing.assert_array_equal(one.simulator.objects.poses, resumed.simulator.objects.poses)
    del observation
    # A training may go on with another number of cars; none of them meets what one has met already.
    more = environment(tmp_path, race, 3, cars=6)
    more.set_random_state(state)
    assert more.simulator.objects is not None
    assert (more.simulator.objects.episodes == max(state["episodes"])).all()


def test_an_evaluation_counts_and_keeps_what_was_met(models: dict[str, ModelFolder]) -> None:
    result = evaluate(models["boxer"], laps=2, seed=5, video=False)
    assert result.race_type == "object_avoidance"
    assert result.race is not None
    folder = Path(result.report).parent
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    assert [metric["crash_count"] for metric in metrics] == [lap.crash_count for lap in result.lap_results]
    with open(folder / "evaluation-simtrace" / "0-iteration.csv") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["episode_status"] == "crashed" for row in rows) == result.crash_count
    last = [max(int(row["obstacle_crash_counter"]) for row in rows if row["episode"] == str(lap)) for lap in (0, 1)]
    assert last == [lap.crash_count for lap in result.lap_results]
    with open(folder / "evaluation-simtrace" / "objects.csv") as file:
        objects = list(csv.DictReader(file))
    assert len(objects) == 3 * len(rows)
    assert {row["kind"] for row in objects} == {"box"}
    # Boxes stay where they are, and stand in the middle of a lane.
    track = load_track(TRACK)
    places = {(row["episode"], row["object"]): (float(row["x"]), float(row["y"])) for row in objects}
    assert len(places) == 6
    assert len({(row["episode"], row["object"], row["x"], row["y"]) for row in objects}) == 6
    lateral = np.abs(track.project(np.array(list(places.values()))).lateral)
    np.testing.assert_allclose(lateral, 0.25 * track.width, atol=0.02)
    assert "Crashes" in Path(result.report).read_text()
    again = evaluate(models["boxer"], laps=2, seed=5, video=False)
    assert again.trace_sha256 == result.trace_sha256
    fewer = evaluate(models["boxer"], laps=1, seed=5, video=False)
    assert fewer.lap_results[0] == result.lap_results[0]


def test_a_model_can_be_evaluated_in_another_kind_of_race(models: dict[str, ModelFolder]) -> None:
    alone = evaluate(models["boxer"], laps=1, seed=5, video=False, race_type="time_trial")
    assert alone.race is None
    assert alone.crash_count == 0
    assert not (Path(alone.report).parent / "evaluation-simtrace" / "objects.csv").exists()
    bots = evaluate(models["boxer"], laps=1, seed=5, video=True, race_type="head_to_head")
    assert bots.race is not None
    assert bots.race.bots is not None
    assert Path(bots.video or "").stat().st_size > 10_000


def test_models_race_each_other(models: dict[str, ModelFolder], tmp_path: Path) -> None:
    road = load_track(TRACK)
    folders = [models["boxer"], models["chaser"], models["boxer"]]
    result, racers = race(folders, laps=1, seed=2, road=road)
    again, _ = race(folders, laps=1, seed=2, road=road)
    assert result == again
    assert sorted(racer.grid for racer in result.racers) == [1, 2, 3]
    assert [racer.place for racer in result.racers] == [1, 2, 3]
    assert sorted(racer.model for racer in result.racers) == ["boxer", "boxer", "chaser"]
    # The grid: one behind the other, in turn outside and inside.
    starts = sorted(racers, key=lambda racer: racer.grid)
    first = [racer.laps[0].start_m for racer in starts]
    np.testing.assert_allclose(first, [0.0, road.length - 0.75, road.length - 1.5], atol=0.05)
    # What a car meets is where the other cars are.
    one, others = racers[0].laps[0], racers[0].laps[0].objects
    other = racers[1].laps[0]
    steps = min(len(one.poses), len(other.poses))
    ahead = load_vehicle("deepracer").geometry.origin_to_middle
    poses = np.array(other.poses[:steps])
    middle = poses[:, :2] + ahead * np.column_stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])])
    apart = np.hypot(*(np.array(others)[:steps, 0, :2] - middle).T)
    assert (apart < 1e-9).mean() > 0.9  # but for steps after which the other one was carried
    target = write_race(result, racers, road, video=False)
    assert json.loads((target / "race.json").read_text())["racers"][0]["place"] == 1
    assert (target / "race.png").stat().st_size > 10_000
    assert len(list(target.glob("*.csv"))) == 3


class Pilot:
    """Follows the centre line by what it is told instead of what it sees; `chaser` is the faster one."""

    def __init__(self, policy: PolicyFile) -> None:
        self._speed = 1.4 if policy.folder.parent.name == "chaser" else 0.7
        self._road = load_track(TRACK)

    def act(self, readings: dict[str, FloatArray]) -> Command:
        x, y, yaw = readings["pose"]
        ahead = self._road.pose_at(self._road.project(np.array([[x, y]])).arc_length + 0.5)[0]
        bearing = np.arctan2(ahead[1] - y, ahead[0] - x) - yaw
        steering_angle = np.arctan(2 * 0.164 * np.sin(bearing) / 0.5 / 0.65)
        return Command(np.array([steering_angle], np.float32), np.array([self._speed], np.float32), None)


@pytest.fixture
def pilots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cars of races be driven by pilots."""
    monkeypatch.setattr("deepracer_training.racing.lap_limit_s", lambda *arguments, **options: 120.0)
    monkeypatch.setattr("deepracer_training.racing.OnnxPolicy", Pilot)
    monkeypatch.setattr(EmbeddedSimulator, "look", lambda self, sensors, car: {"pose": self._motion.poses()[car]})


@pytest.mark.usefixtures("pilots")
def test_lap_times_are_those_of_an_evaluations_referee_in_every_lap(models: dict[str, ModelFolder]) -> None:
    road, vehicle = load_track(TRACK), load_vehicle("deepracer")
    period_s = vehicle.control_period_ns * 1e-9
    _, racers = race([models["chaser"], models["chaser"]], laps=4, seed=0, road=road)
    for racer in racers:
        # Clear of each other, so that nothing but driving is timed.
        assert racer.count("reset_count") == 0
        referee = Referee(road, vehicle, RaceRules.evaluation(), 1, vehicle.control_period_ns)
        lanes = Lanes(road)
        outer = -1.0 if road.is_ccw else 1.0
        referee.start(np.array([0]), np.array([lanes.pose(-0.75 * (racer.grid - 1), outer * (3 - 2 * racer.grid))]))
        noses, verdict = [], None
        for pose in [pose for lap in racer.laps for pose in lap.poses]:
            x, y, yaw = np.array(pose)[:, None]
            zero = np.zeros(1)
            if verdict is None or not verdict.done[0]:
                verdict = referee.judge(CarStates(x, y, yaw, zero, zero, zero, zero, 0))
            noses.append((pose[0] + 0.14 * np.cos(pose[2]), pose[1] + 0.14 * np.sin(pose[2])))
        assert verdict is not None
        assert racer.lap_times[0] == round(float(verdict.lap_time_s[0]), 6)
        # The times at which the nose was a lap, two laps, ... past the place where the car has started.
        way = np.unwrap(road.project(np.array(noses)).arc_length, period=road.length)
        way += round((racer.laps[0].start_m - way[0]) / road.length) * road.length
        lines = racer.laps[0].start_m + road.length * np.arange(1, 5)
        crossings = np.interp(lines, way, period_s * np.arange(1, len(way) + 1))
        np.testing.assert_allclose(racer.lap_times, np.diff(crossings, prepend=0.0), rtol=0, atol=2e-6)
        # Nothing but the first one, from standstill, differs: a lap is a lap.
        assert np.ptp(racer.lap_times[1:]) < 0.1


@pytest.mark.usefixtures("pilots")
def test_who_runs_into_another_car_pays_and_who_is_ahead_does_not(models: dict[str, ModelFolder]) -> None:
    road = load_track(TRACK)
    shares: list[float] = []
    result, racers = race([models["boxer"], models["chaser"]], laps=2, seed=0, road=road, on_step=shares.append)
    slow, fast = racers
    assert (slow.grid, fast.grid) == (1, 2)  # so the faster one has the slower one in its way
    assert fast.count("crash_count") >= 1
    assert slow.count("crash_count") == 0
    times = {racer.model: racer for racer in result.racers}
    for name, racer in (("boxer", slow), ("chaser", fast)):
        assert times[name].finished
        assert len(times[name].lap_times_s) == 2
        assert times[name].time_s == pytest.approx(sum(times[name].lap_times_s))
        assert racer.laps[1].rows[0].progress < 5.0
    # Twice as fast, but for the penalties of 5 s each, the metre that each crash costs, and the way up to speed.
    crashes = fast.count("crash_count")
    alone = 2 * road.length / 1.4
    assert alone + 5.0 * crashes < times["chaser"].time_s < alone + 7.5 * crashes + 1.0
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_race_needs_opponents_with_policies(models: dict[str, ModelFolder]) -> None:
    road = load_track(TRACK)
    with pytest.raises(UserError, match="takes 2 to 8 models, but 1"):
        race([models["boxer"]], road=road)
    fresh = ModelFolder.create("fresh", small_config("fresh"), example_source("progress"))
    with pytest.raises(UserError, match="'fresh' has no policy"):
        race([models["boxer"], fresh], road=road)


def test_the_race_section_belongs_to_the_race_type() -> None:
    assert small_config("x", "object_avoidance").race == RaceSettings(boxes=BoxSettings())
    assert small_config("x", "time_trial").race is None
    with pytest.raises(ValueError, match=r"takes race\.bots and nothing else, but there is race\.boxes"):
        small_config("x", "head_to_head", RaceSettings(boxes=BoxSettings()))
    with pytest.raises(ValueError, match=r"takes no race section"):
        small_config("x", "time_trial", RaceSettings(boxes=BoxSettings()))
