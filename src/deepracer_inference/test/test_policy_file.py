from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.action_space import ContinuousActionSpace, DiscreteActionSpace
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import read_text, sha256_of
from deepracer_inference.metadata import ModelMetadata, read_metadata
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.policy_file import load_policy, write_policy

Build = Callable[..., bytes]


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    for key, value in changes.items():
        if value is None:
            del content[key]
        else:
            content[key] = value
    path.write_text(json.dumps(content))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Change a file and its checksum, as somebody who wants to deceive would."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit_manifest(folder, files={**files, name: sha256_of(content)})


def test_a_written_policy_is_loaded_back(
    policy_folder: Path, build_discrete: Build, observation: ObservationSpec, discrete: DiscreteActionSpace
) -> None:
    policy = load_policy(policy_folder)
    assert sorted(os.listdir(policy_folder)) == ["manifest.json", "model_metadata.json", "policy.onnx"]
    assert policy.onnx == build_discrete()
    assert policy.manifest.observation == observation
    assert policy.manifest.action_space == policy.metadata.action_space == discrete
    assert policy.manifest.vehicle == "deepracer"
    assert policy.manifest.control_period_s == 1.0 / 15.0
    assert policy.manifest.provenance == {"seed": 3, "steps": 1000, "reward": 1.5, "version": "0.1.0"}
    assert policy.metadata.neural_network == "compact"
    assert read_metadata(policy_folder / "model_metadata.json") == policy.metadata


def test_equal_policies_are_equal_files(policy_folder: Path, tmp_path: Path) -> None:
    policy = load_policy(policy_folder)
    write(tmp_path / "again", policy.onnx, policy.manifest.action_space, policy.manifest.observation)
    for name in os.listdir(policy_folder):
        assert (tmp_path / "again" / name).read_bytes() == (policy_folder / name).read_bytes()


def write(folder: Path, onnx: bytes, action_space: Any, observation: ObservationSpec) -> None:
    write_policy(
        folder,
        onnx,
        observation=observation,
        action_space=action_space,
        neural_network="compact",
        vehicle="deepracer",
        control_period_s=1.0 / 15.0,
        provenance={"seed": 3, "steps": 1000, "reward": 1.5, "version": "0.1.0"},
    )


def test_a_continuous_policy_replaces_the_old_one(
    policy_folder: Path, build_continuous: Build, continuous: ContinuousActionSpace, observation: ObservationSpec
) -> None:
    write(policy_folder, build_continuous(), continuous, observation)
    assert load_policy(policy_folder).manifest.action_space == continuous


def test_a_policy_that_could_not_be_loaded_is_not_written(
    policy_folder: Path, build_discrete: Build, continuous: ContinuousActionSpace, observation: ObservationSpec
) -> None:
    before = load_policy(policy_folder)
    with pytest.raises(UserError, match=r"policy/policy.onnx has the outputs"):
        write(policy_folder, build_discrete(), continuous, observation)
    assert load_policy(policy_folder) == before
    assert os.listdir(policy_folder.parent) == ["policy"]


def test_a_missing_parent_is_named(policy_folder: Path, tmp_path: Path) -> None:
    policy = load_policy(policy_folder)
    with pytest.raises(DeepRacerError, match="the folder does not exist"):
        write(tmp_path / "no" / "policy", policy.onnx, policy.manifest.action_space, policy.manifest.observation)


@pytest.mark.parametrize("name", ["policy.onnx", "model_metadata.json"])
def test_a_changed_file_is_refused(policy_folder: Path, name: str) -> None:
    with open(policy_folder / name, "ab") as file:
        file.write(b" ")
    with pytest.raises(UserError, match="has been changed or damaged") as caught:
        load_policy(policy_folder)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["policy.onnx", "model_metadata.json", "manifest.json"])
def test_a_missing_file_and_a_link_are_refused(policy_folder: Path, tmp_path: Path, name: str) -> None:
    (policy_folder / name).rename(tmp_path / name)
    with pytest.raises(UserError, match=f"not a whole policy: {name} is missing"):
        load_policy(policy_folder)
    (policy_folder / name).symlink_to(tmp_path / name)
    with pytest.raises(UserError, match=f"{name} is a link or a folder"):
        load_policy(policy_folder)
    (policy_folder / name).unlink()
    (policy_folder / name).mkdir()
    with pytest.raises(UserError, match=f"{name} is a link or a folder"):
        load_policy(policy_folder)


def test_what_does_not_belong_to_a_policy_is_refused(policy_folder: Path) -> None:
    (policy_folder / "model.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(UserError, match=r"holds model.pkl, but a policy consists of"):
        load_policy(policy_folder)
    (policy_folder / "model.pkl").unlink()
    (policy_folder / "folder").mkdir()
    with pytest.raises(UserError, match="holds folder"):
        load_policy(policy_folder)


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no policy folder"):
        load_policy(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, but a policy is a folder"):
        load_policy(tmp_path / "file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2, but this version reads format 1 only; update"),
        ({"format": "1"}, "has format '1'"),
        ({"files": {}}, "files lists none, but policy.onnx, model_metadata.json is expected"),
        ({"files": {"policy.onnx": "0" * 64, "../x": "0" * 64}}, r"files lists policy.onnx, \.\./x"),
        ({"files": {"policy.onnx": "ABC"}}, r"files.policy.onnx is 'ABC', but a text of the form"),
        (
            {"observation": {"width": 8, "height": 8, "crop": 0.2}},
            "unknown key 'observation.crop'; did you mean 'crop_top'?",
        ),
        ({"observation": {"width": 16, "height": 8}}, r"'image' is uint8 \(N, 8, 8, 1\), but uint8 \(N, 8, 16, 1\)"),
        ({"control_period_s": 0}, "control_period_s is 0, but a value above 0.0 is expected"),
        ({"vehicle": None}, "the key 'vehicle' is missing"),
        ({"provenance": {"seed": [1]}}, "provenance"),
        ({"author": "x"}, "unknown key 'author'"),
    ],
)
def test_a_wrong_manifest_is_explained(policy_folder: Path, changes: dict[str, Any], message: str) -> None:
    edit_manifest(policy_folder, **changes)
    with pytest.raises(UserError, match=message):
        load_policy(policy_folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"format": 1, "format": 1}', pickle.dumps({"format": 1})])
def test_a_manifest_that_is_not_json_is_refused(policy_folder: Path, content: bytes) -> None:
    (policy_folder / "manifest.json").write_bytes(content)
    with pytest.raises(UserError, match=r"manifest.json"):
        load_policy(policy_folder)


def test_metadata_that_disagree_with_the_manifest_are_refused(
    policy_folder: Path, discrete: DiscreteActionSpace
) -> None:
    reversed_space = DiscreteActionSpace(actions=discrete.actions[::-1])
    text = ModelMetadata(action_space=reversed_space, neural_network="compact").to_json()
    replace_file(policy_folder, "model_metadata.json", text.encode())
    with pytest.raises(UserError, match="has another action space than"):
        load_policy(policy_folder)


def test_a_policy_that_is_replaced_while_it_is_read_is_read_anew(
    policy_folder: Path,
    build_continuous: Build,
    continuous: ContinuousActionSpace,
    observation: ObservationSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[Path] = []

    def read_late(path: Path) -> str:
        text = read_text(path)
        if not reads:
            write(policy_folder, build_continuous(), continuous, observation)
        reads.append(path)
        return text

    monkeypatch.setattr("deepracer_inference.policy_file.read_text", read_late)
    policy = load_policy(policy_folder)
    assert len(reads) == 2
    assert policy.manifest.action_space == policy.metadata.action_space == continuous
    assert policy.onnx == build_continuous()


def test_a_graph_with_a_true_checksum_is_still_checked(policy_folder: Path, build_continuous: Build) -> None:
    replace_file(policy_folder, "policy.onnx", build_continuous())
    with pytest.raises(UserError, match="has the outputs speed, steering_angle"):
        load_policy(policy_folder)


def test_a_pickle_in_place_of_the_graph_is_never_executed(policy_folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    replace_file(policy_folder, "policy.onnx", pickle.dumps(Trap()))
    with pytest.raises(UserError):
        load_policy(policy_folder)
    assert not (tmp_path / "executed").exists()
