"""Evaluations: the right figures for drives that can be computed by hand, the same bytes again, all files or none."""

from __future__ import annotations

import errno
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from deepracer_inference.action_space import ActionSpace, DiscreteAction, DiscreteActionSpace
from deepracer_inference.config import dump_yaml
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.policy_file import load_policy, write_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_sim.tracks.npy import read_npy, write_npy
from deepracer_sim.tracks.track import Track
from deepracer_training.evaluation import EvaluationResult, evaluate
from deepracer_training.laps import LapDriver
from deepracer_training.models.config import preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.traces import read_trace

RADIUS, WIDTH = 1.2, 0.8
DEEPRACER = load_vehicle("deepracer")
CIRCLE_ANGLE = math.atan(DEEPRACER.geometry.wheelbase / RADIUS)
PERIOD_S = DEEPRACER.control_period_s

REWARD = """
def reward_function(params):
    '''Stay <b>on</b> the line & be happy.'''
    return 1.0 - params["distance_from_center"]
"""

MakeModel = Callable[..., ModelFolder]


def ideal_car() -> Vehicle:
    """A car that goes where its wheels point, at once: its circle can be computed by hand."""
    car = DEEPRACER.model_dump()
    car["name"] = "ideal"
    car["latency_s"] = car["steering"]["time_constant_s"] = car["drive"]["time_constant_s"] = 0.0
    car["drive"] |= {"acceleration_limit": 15.0, "differential_lock": 0.0}
    car["tyre"] |= {"friction": 2.0, "cornering_stiffness_front": 20.0, "cornering_stiffness_rear": 20.0}
    return Vehicle.model_validate(car)


@pytest.fixture(scope="module")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeModel]:
    """Models on a circle whose policy always commands the same."""
    folder = tmp_path_factory.mktemp("home")
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    circle = Track("circle", RADIUS * ring, (RADIUS - WIDTH / 2) * ring, (RADIUS + WIDTH / 2) * ring)
    write_npy(circle, folder / "circle.npy")
    dump_yaml(ideal_car(), folder / "ideal.yaml")

    def make(name: str, steering_angle: float, speed: float, reward: str = REWARD) -> ModelFolder:
        config = preset_config("fast", name=name, track=str(folder / "circle.npy"), seed=3)
        model = ModelFolder.create(name, config, reward)
        graph = constant_policy(config.observation.shape, steering_angle, speed)
        save_policy(model, graph, config.action_space, str(folder / "ideal.yaml"))
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPRACER_HOME", str(folder))
        yield make


def constant_policy(shape: tuple[int, ...], steering_angle: float, speed: float, best: int | None = None) -> bytes:
    """A graph that returns the same for every image; with `best`, that one of three discrete actions."""
    outputs = {"steering_angle": [steering_angle], "speed": [speed]}
    sizes: dict[str, list[int | str]] = {"steering_angle": ["N"], "speed": ["N"]}
    if best is not None:
        outputs["action_probabilities"] = [0.8 if action == best else 0.1 for action in range(3)]
        sizes["action_probabilities"] = ["N", 3]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zeros"]),
        helper.make_node("Reshape", ["zeros", "column"], ["zero_column"]),
    ]
    constants = {"axes": np.array([1, 2, 3]), "nothing": np.zeros(1, np.float32), "column": np.array([-1, 1])}
    for name, value in outputs.items():
        constants[f"{name}_value"] = np.array(value, np.float32)
        zeros = "zero_column" if name == "action_probabilities" else "zeros"
        nodes.append(helper.make_node("Add", [zeros, f"{name}_value"], [name]))
    return serialized(nodes, constants, shape, sizes)


def grass_avoider(shape: tuple[int, ...]) -> bytes:
    """A graph that steers away from the brighter half of the image: the road is darker than all around it."""
    height, width, _ = shape
    weight = np.zeros(shape, np.float32)
    weight[4 : height - 6, width // 2 :] = 0.02 / ((height - 10) * width // 2)
    weight -= weight[:, ::-1]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "weight"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axes"], ["sum"], keepdims=0),
        helper.make_node("Clip", ["sum", "low", "high"], ["steering_angle"]),
        helper.make_node("Mul", ["steering_angle", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "one"], ["speed"]),
    ]
    limit = np.array(math.radians(25.0), np.float32)
    constants = {"weight": weight[None], "axes": np.array([1, 2, 3]), "low": -limit, "high": limit}
    constants |= {"nothing": np.zeros(1, np.float32), "one": np.array([1.5], np.float32)}
    return serialized(nodes, constants, shape, {"steering_angle": ["N"], "speed": ["N"]})


def serialized(
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
    shape: tuple[int, ...],
    outputs: dict[str, list[int | str]],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def save_policy(model: ModelFolder, graph: bytes, space: ActionSpace, vehicle: str = "deepracer") -> None:
    write_policy(
        model.policy,
        graph,
        observation=model.config.observation,
        action_space=space,
        neural_network="compact",
        vehicle=vehicle,
        control_period_s=PERIOD_S,
        provenance={"seed": 3, "note": "<script>alert(1)</script>"},
    )


def folders(model: ModelFolder) -> list[str]:
    """All evaluations that a reader of the folder sees."""
    return sorted(path.name for path in model.evaluations.iterdir() if not path.name.startswith("."))


@pytest.fixture(scope="module")
def round_and_round(make_model: MakeModel) -> tuple[ModelFolder, EvaluationResult]:
    model = make_model("round", CIRCLE_ANGLE, 1.0)
    return model, evaluate(model, laps=3, seed=7)


def test_laps_on_a_circle_take_as_long_as_computed_by_hand(
    round_and_round: tuple[ModelFolder, EvaluationResult],
) -> None:
    _, result = round_and_round
    assert (result.laps, result.laps_completed) == (3, 3)
    assert (result.off_track_count, result.crash_count, result.reset_count) == (0, 0, 0)
    # Progress counts from base_link and ends at the nose. Half of the time to get up to speed is lost.
    by_hand = (2 * np.pi * RADIUS - DEEPRACER.geometry.nose_offset) / 1.0 + 0.5 * 1.0 / 15.0
    times = [lap.lap_time_s for lap in result.lap_results if lap.lap_time_s is not None]
    assert times == pytest.approx([by_hand] * 3, rel=0.01)
    # Every start on a circle is like any other.
    assert max(times) - min(times) < 0.01
    assert result.lap_time_best_s == min(times)
    assert result.lap_time_mean_s == pytest.approx(sum(times) / 3)
    assert result.lap_time_std_s == pytest.approx(np.std(times))
    assert result.consistency == pytest.approx(np.std(times) / np.mean(times))
    assert result.top_speed == 2.0
    assert 0.45 < result.mean_speed_share < 0.5


def test_the_trace_agrees_with_the_figures(round_and_round: tuple[ModelFolder, EvaluationResult]) -> None:
    _, result = round_and_round
    trace = read_trace(Path(result.trace))
    laps = list(trace.episodes())
    assert [len(lap) for lap in laps] == [lap.steps for lap in result.lap_results]
    begin = 0.0
    for lap, figures in zip(laps, result.lap_results, strict=True):
        assert lap.steps.tolist() == list(range(1, len(lap) + 1))
        assert lap.status.tolist() == ["prepare", *["in_progress"] * (len(lap) - 2), "lap_complete"]
        assert lap.done.tolist() == [False] * (len(lap) - 1) + [True]
        assert np.diff(lap.time_s) == pytest.approx(PERIOD_S, abs=2e-6)
        # The finish line was crossed within the last step; the laps follow each other in time.
        assert figures.lap_time_s is not None
        assert lap.time_s[-2] < begin + figures.lap_time_s <= lap.time_s[-1]
        begin = float(lap.time_s[-1])
        assert figures.reward == pytest.approx(lap.reward.sum())
        assert set(lap.action) == {f"[{round(math.degrees(np.float32(CIRCLE_ANGLE)), 5)} 1.0]"}
        # The first nose position is where the car was put, a nose length ahead of its start.
        start = figures.start_m / RADIUS
        assert np.hypot(lap.x[0] - RADIUS * np.cos(start), lap.y[0] - RADIUS * np.sin(start)) < 0.2
    assert len({round(figures.start_m, 3) for figures in result.lap_results}) == 3


def test_the_aws_metrics_have_one_object_per_lap(round_and_round: tuple[ModelFolder, EvaluationResult]) -> None:
    _, result = round_and_round
    metrics = json.loads(Path(result.metrics).read_text())["metrics"]
    assert [lap["trial"] for lap in metrics] == [1, 2, 3]
    for lap, figures in zip(metrics, result.lap_results, strict=True):
        assert lap["elapsed_time_in_milliseconds"] == round(1000 * (figures.lap_time_s or 0.0))
        assert (lap["episode_status"], lap["completion_percentage"]) == ("Lap complete", 100)


def test_the_result_can_be_read_again_and_its_folder_moved(
    round_and_round: tuple[ModelFolder, EvaluationResult], tmp_path: Path
) -> None:
    model, result = round_and_round
    folder = model.evaluations / result.id
    assert EvaluationResult.read(folder) == result
    assert json.loads(json.dumps(result.as_json()))["laps_completed"] == 3
    assert Path(result.report) == folder / "report.html"
    folder.rename(tmp_path / "moved")
    assert EvaluationResult.read(tmp_path / "moved").trace == str(
        tmp_path / "moved/evaluation-simtrace/0-iteration.csv"
    )
    (tmp_path / "moved").rename(folder)


def test_equal_seeds_give_the_same_bytes_and_other_seeds_do_not(
    round_and_round: tuple[ModelFolder, EvaluationResult],
) -> None:
    model, first = round_and_round
    again = evaluate(model, laps=3, seed=7, video=False)
    other = evaluate(model, laps=3, seed=8, video=False)
    assert Path(again.trace).read_bytes() == Path(first.trace).read_bytes()
    assert again.trace_sha256 == first.trace_sha256 != other.trace_sha256
    assert again.video is None
    assert len({first.id, again.id, other.id}) == 3


def test_a_lap_does_not_depend_on_the_others(round_and_round: tuple[ModelFolder, EvaluationResult]) -> None:
    model, three = round_and_round
    one = evaluate(model, laps=1, seed=7, video=False)
    assert one.lap_results[0] == three.lap_results[0]
    assert Path(three.trace).read_text().startswith(Path(one.trace).read_text())


def test_driving_straight_on_leaves_the_circle_again_and_again(make_model: MakeModel) -> None:
    result = evaluate(make_model("straight", 0.0, 1.5), laps=2, seed=1, video=False)
    trace = read_trace(Path(result.trace))
    for lap, figures in zip(trace.episodes(), result.lap_results, strict=True):
        # A tangent meets the outer border after acos(1.2 / 1.6) = 41.4 degrees. The rear axle, 0.22 m behind the nose,
        # has left the track at most 0.22 m and one step of 0.1 m later, 11.5 degrees.
        assert 360 / (41.4 + 11.5) - 1 <= figures.off_track_count <= 360 / 41.4
        counts = Counter(lap.status.tolist())
        assert counts["off_track"] == figures.off_track_count == figures.reset_count
        assert counts["pause"] == 30 * figures.off_track_count  # 2 s each
        assert not lap.reward[lap.status == "pause"].any()
        assert figures.lap_time_s is not None
        assert figures.lap_time_s > 2.0 * figures.off_track_count
    assert result.off_track_count == sum(figures.off_track_count for figures in result.lap_results)
    assert result.laps_completed == 2


def test_a_policy_that_shuns_the_grass_laps_cleanly(make_model: MakeModel) -> None:
    model = make_model("shy", 0.0, 1.0)
    save_policy(model, grass_avoider(model.config.observation.shape), model.config.action_space)
    result = evaluate(model, laps=4, seed=1, video=False, track="riverside")
    assert (result.track, result.laps_completed, result.off_track_count) == ("riverside", 4, 0)


def test_a_lap_that_does_not_end_is_stopped_and_not_complete(make_model: MakeModel) -> None:
    model = make_model("slow", CIRCLE_ANGLE, 1.0)
    policy = load_policy(model.policy)
    track = read_npy(Path(model.config.track))
    simulator = EmbeddedSimulator(track, ideal_car(), 1, observation=policy.manifest.observation)
    driver = LapDriver(OnnxPolicy(policy), simulator, None, lap_limit_s=2.0)
    (record,) = driver.drive(np.array([0.0]), lambda step: None)
    assert (record.status, record.lap_time_s, len(record.rows)) == (EpisodeStatus.TIME_UP, None, 30)
    # 2 s at 1 m/s, seen from the start to the nose.
    metres = 2.0 + DEEPRACER.geometry.nose_offset
    assert record.rows[-1].progress == pytest.approx(100 * metres / (2 * np.pi * RADIUS), rel=0.1)


def test_discrete_actions_are_logged_by_index_and_in_exact_degrees(make_model: MakeModel) -> None:
    model = make_model("discrete", 0.0, 1.0)
    actions = ((-20.0, 1.0), (0.0, 1.1), (4.7, 1.2))
    space = DiscreteActionSpace(actions=tuple(DiscreteAction(steering_angle=a, speed=v) for a, v in actions))
    graph = constant_policy(model.config.observation.shape, math.radians(4.7), 1.2, best=2)
    save_policy(model, graph, space)
    result = evaluate(model, laps=1, video=False)
    trace = read_trace(Path(result.trace))
    assert (set(trace.action), set(trace.steering_angle), set(trace.speed)) == ({"2"}, {4.7}, {1.2})
    assert result.top_speed == 1.2


def test_a_failing_reward_function_is_reported_and_does_not_stop_the_drive(make_model: MakeModel) -> None:
    broken = "def reward_function(params):\n    if params['steps'] > 5:\n        return 1 / 0\n    return 1.0\n"
    result = evaluate(make_model("broken", CIRCLE_ANGLE, 1.0, broken), laps=1, video=False)
    assert result.laps_completed == 1
    assert result.reward_error is not None
    assert "ZeroDivisionError" in result.reward_error
    assert result.reward_mean == 5.0
    assert "ZeroDivisionError" in Path(result.report).read_text()


def test_the_page_fetches_nothing_and_escapes_what_users_wrote(
    round_and_round: tuple[ModelFolder, EvaluationResult],
) -> None:
    _, result = round_and_round
    page = Path(result.report).read_text()
    urls = re.findall(r"""(?:src|href|action)\s*=\s*["']([^"']*)|url\(([^)]*)\)|@import""", page)
    for url in {"".join(found) for found in urls}:
        assert url.startswith(("data:", "#")) or url in {
            "video.mp4",
            "evaluation.json",
            "evaluation-simtrace/0-iteration.csv",
            "metrics.json",
        }
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Stay &lt;b&gt;on&lt;/b&gt; the line &amp; be happy." in page
    assert result.trace_sha256 in page
    for figures in result.lap_results:
        assert f"{figures.lap_time_s:.3f}" in page


def test_the_video_plays_in_real_time_everywhere(round_and_round: tuple[ModelFolder, EvaluationResult]) -> None:
    import av

    _, result = round_and_round
    assert result.video is not None
    data = Path(result.video).read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")  # starts to play before it is loaded
    with av.open(result.video) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == stream.height % 2 == 0
        assert float(stream.average_rate) == 15.0
        steps = [lap.steps for lap in result.lap_results]
        # All laps that begin in the first 30 s, with a second of standstill after each.
        assert stream.frames == sum(steps) + 15 * len(steps)
        frame = next(container.decode(stream)).to_ndarray(format="rgb24")
    assert frame.std() > 20.0  # something is to be seen


def test_bad_requests_are_refused_and_write_nothing(make_model: MakeModel) -> None:
    model = make_model("untouched", 0.0, 1.0)
    with pytest.raises(UserError, match="laps must be 1 to 1000, but is 0"):
        evaluate(model, laps=0)
    with pytest.raises(UserError, match="nowhere"):
        evaluate(model, track="nowhere")
    (model.policy / "policy.onnx").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"policy\.onnx has been changed"):
        evaluate(model)
    for file in model.policy.iterdir():
        file.unlink()
    model.policy.rmdir()
    with pytest.raises(UserError, match="deepracer train untouched"):
        evaluate(model)
    assert not model.evaluations.exists()


def test_an_interrupted_evaluation_leaves_no_folder(make_model: MakeModel) -> None:
    model = make_model("interrupted", CIRCLE_ANGLE, 1.0)

    def interrupt(share: float) -> None:
        if share > 0.6:  # in the middle of the film
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(model, laps=1, on_step=interrupt)
    assert folders(model) == []


def test_a_full_disk_is_named_and_leaves_no_folder(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("full", CIRCLE_ANGLE, 1.0)

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(DeepRacerError, match="the disk is full"):
        evaluate(model, laps=1, video=False)
    assert folders(model) == []


def test_progress_is_told_from_0_to_1(make_model: MakeModel) -> None:
    shares: list[float] = []
    evaluate(make_model("told", CIRCLE_ANGLE, 2.0), laps=1, on_step=shares.append)
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] == 1.0
