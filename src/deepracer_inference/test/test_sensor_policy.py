"""Policies with several inputs: the file names them, and the runtime wants exactly these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deepracer_inference.action_space import ContinuousActionSpace
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import sha256_of
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.policy_file import load_policy, write_policy
from deepracer_inference.runtime import OnnxPolicy

OBSERVATION = ObservationSpec(width=8, height=8, sensors=("STEREO_CAMERAS", "SECTOR_LIDAR"))


def graph(lidar: str = "lidar_sectors", sectors: int = 8) -> bytes:
    """Steer 0.1 rad for each sector that is not free; drive 2 m/s, in view of any images."""
    nodes = [
        helper.make_node("ReduceSum", [lidar, "axis"], ["busy"], keepdims=0),
        helper.make_node("Mul", ["busy", "slope"], ["steering_angle"]),
        helper.make_node("Cast", ["stereo_images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "rest"], ["bright"], keepdims=0),
        helper.make_node("Mul", ["bright", "none"], ["zero"]),
        helper.make_node("Add", ["zero", "pace"], ["speed"]),
    ]
    constants = {
        "axis": np.array([1]),
        "rest": np.array([1, 2, 3]),
        "slope": np.array([0.1], np.float32),
        "none": np.array([0.0], np.float32),
        "pace": np.array([2.0], np.float32),
    }
    body = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info("stereo_images", TensorProto.UINT8, ("N", 8, 8, 2)),
            helper.make_tensor_value_info(lidar, TensorProto.FLOAT, ("N", sectors)),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("steering_angle", "speed")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def write(
    folder: Path, onnx_bytes: bytes, space: ContinuousActionSpace, observation: ObservationSpec = OBSERVATION
) -> None:
    write_policy(
        folder,
        onnx_bytes,
        observation=observation,
        action_space=space,
        neural_network="compact",
        vehicle="deepracer",
        control_period_s=1.0 / 15.0,
        provenance={},
        training_algorithm="sac",
    )


@pytest.fixture
def policy(tmp_path: Path, continuous: ContinuousActionSpace) -> OnnxPolicy:
    write(tmp_path / "policy", graph(), continuous)
    return OnnxPolicy(load_policy(tmp_path / "policy"))


def readings(cars: int, **changes: Any) -> dict[str, Any]:
    sectors = np.zeros((cars, 8), np.float32)
    sectors[:, :2] = 1.0
    return {"stereo_images": np.zeros((cars, 8, 8, 2), np.uint8), "lidar_sectors": sectors, **changes}


def test_each_input_reaches_the_graph_under_its_name(policy: OnnxPolicy) -> None:
    command = policy.act(readings(3))
    assert command.steering_angle.tolist() == pytest.approx([0.2] * 3)
    assert command.speed.tolist() == [2.0] * 3


def test_the_files_name_sensors_and_algorithm(policy: OnnxPolicy, tmp_path: Path) -> None:
    manifest = json.loads((tmp_path / "policy" / "manifest.json").read_text())
    assert manifest["observation"]["sensors"] == ["STEREO_CAMERAS", "SECTOR_LIDAR"]
    metadata = json.loads((tmp_path / "policy" / "model_metadata.json").read_text())
    assert metadata["sensor"] == ["STEREO_CAMERAS", "SECTOR_LIDAR"]
    assert metadata["training_algorithm"] == "sac"
    names = [node.name for node in onnx.load(tmp_path / "policy" / "policy.onnx").graph.input]
    assert names == list(OBSERVATION.inputs)


@pytest.mark.parametrize("sensors", [["FRONT_FACING_CAMERA"], ["STEREO_CAMERAS", "LIDAR"], None])
def test_metadata_with_other_sensors_than_the_manifest_are_refused(
    policy: OnnxPolicy, tmp_path: Path, sensors: list[str] | None
) -> None:
    path = tmp_path / "policy" / "model_metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["sensor"]  # which AWS's tools take for the front camera
    change_metadata(path, metadata if sensors is None else metadata | {"sensor": sensors})
    named = ", ".join(sensors or ["FRONT_FACING_CAMERA"])
    with pytest.raises(UserError, match=rf"other sensors \({named} instead of STEREO_CAMERAS, SECTOR_LIDAR\) than"):
        load_policy(tmp_path / "policy")
    change_metadata(path, metadata | {"sensor": ["SECTOR_LIDAR", "STEREO_CAMERAS"]})  # their order means nothing
    load_policy(tmp_path / "policy")


def test_metadata_with_another_lidar_config_are_refused(tmp_path: Path, continuous: ContinuousActionSpace) -> None:
    observation = OBSERVATION.model_copy(update={"sensors": ("STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR")})
    write(tmp_path / "policy", graph("lidar_sector_distances", 64), continuous, observation)
    path = tmp_path / "policy" / "model_metadata.json"
    metadata = json.loads(path.read_text())
    metadata["lidar_config"]["clipping_dist"] = 4.0
    change_metadata(path, metadata)
    with pytest.raises(UserError, match="another lidar_config than"):
        load_policy(tmp_path / "policy")


def change_metadata(path: Path, content: dict[str, Any]) -> None:
    """Change the file and its checksum in the manifest."""
    path.write_text(json.dumps(content))
    manifest = json.loads((path.parent / "manifest.json").read_text())
    manifest["files"][path.name] = sha256_of(path)
    (path.parent / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((1, 8, 8, 1), np.uint8), "takes the inputs stereo_images, lidar_sectors .* was given image"),
        ({"stereo_images": np.zeros((1, 8, 8, 2), np.uint8)}, "but was given stereo_images"),
        (readings(2, lidar_sectors=np.zeros((2, 9), np.float32)), r"input lidar_sectors has shape \(2, 9\)"),
        (readings(2, lidar_sectors=np.zeros((2, 8))), "type float64"),
        (readings(2, lidar_sectors=np.zeros((1, 8), np.float32)), r"shape \(1, 8\)"),
    ],
)
def test_other_inputs_are_refused(policy: OnnxPolicy, given: Any, message: str) -> None:
    with pytest.raises(DeepRacerError, match=message):
        policy.act(given)


def test_a_camera_frame_alone_does_not_drive_it(policy: OnnxPolicy) -> None:
    with pytest.raises(DeepRacerError, match="takes the inputs stereo_images, lidar_sectors"):
        policy.drive(np.zeros((120, 160, 3), np.uint8))


@pytest.mark.parametrize(("lidar", "sectors"), [("lidar", 8), ("lidar_sectors", 64)])
def test_a_graph_with_other_inputs_than_promised_is_not_written(
    tmp_path: Path, continuous: ContinuousActionSpace, lidar: str, sectors: int
) -> None:
    with pytest.raises(UserError, match=r"inputs lidar, stereo_images|input 'lidar_sectors' is float32"):
        write(tmp_path / "policy", graph(lidar, sectors), continuous)
    assert not (tmp_path / "policy").exists()
