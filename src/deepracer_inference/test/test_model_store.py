"""Models on a car: the archive that brings them, the store, the way back, and what does not fit."""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.action_space import ContinuousActionSpace
from deepracer_inference.archive import read_archive, write_archive
from deepracer_inference.calibration import Calibration, SteeringPoint
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import sha256_of
from deepracer_inference.fit import check_fit
from deepracer_inference.model_archive import read_model_archive, write_model_archive
from deepracer_inference.model_store import ModelStore
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.policy_file import load_policy, write_policy
from deepracer_inference.vehicle import Vehicle, load_vehicle


@pytest.fixture
def vehicle() -> Vehicle:
    return load_vehicle("deepracer")


@pytest.fixture
def archive(tmp_path: Path, policy_folder: Path, vehicle: Vehicle) -> Path:
    write_model_archive(tmp_path / "demo.tar.gz", "demo", policy_folder, vehicle)
    return tmp_path / "demo.tar.gz"


@pytest.fixture
def newer(
    tmp_path: Path,
    vehicle: Vehicle,
    build_continuous: Callable[..., bytes],
    continuous: ContinuousActionSpace,
    observation: ObservationSpec,
) -> Path:
    """The archive of another model that has the same name."""
    write_policy(
        tmp_path / "newer",
        build_continuous(),
        observation=observation,
        action_space=continuous,
        neural_network="compact",
        vehicle="deepracer",
        control_period_s=1.0 / 15.0,
        provenance={},
    )
    write_model_archive(tmp_path / "newer.tar.gz", "demo", tmp_path / "newer", vehicle)
    return tmp_path / "newer.tar.gz"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "car" / "models")


def test_a_model_arrives_on_the_car_as_it_left(
    store: ModelStore, archive: Path, policy_folder: Path, vehicle: Vehicle
) -> None:
    identifier = store.install(archive)
    assert store.models() == [identifier]
    assert identifier.startswith("demo@")
    there, here = store.policy("demo"), load_policy(policy_folder)
    assert (there.onnx, there.manifest, there.metadata) == (here.onnx, here.manifest, here.metadata)
    assert store.trained_with(identifier) == vehicle
    assert store.current is None, "installing is not selecting"
    with pytest.raises(UserError, match="No model is selected"):
        store.policy()


def test_equal_models_are_equal_archives_and_are_stored_once(
    store: ModelStore, archive: Path, tmp_path: Path, policy_folder: Path, vehicle: Vehicle
) -> None:
    write_model_archive(tmp_path / "again.tar.gz", "demo", policy_folder, vehicle)
    assert (tmp_path / "again.tar.gz").read_bytes() == archive.read_bytes()
    assert store.install(archive) == store.install(tmp_path / "again.tar.gz")
    assert len(store.models()) == 1


def test_an_archive_holds_no_code(archive: Path) -> None:
    assert sorted(read_archive(archive)) == [
        "contents.json",
        "policy/manifest.json",
        "policy/model_metadata.json",
        "policy/policy.onnx",
        "vehicle.yaml",
    ]


def test_a_newer_version_stands_beside_the_old_one_and_rollback_returns(
    store: ModelStore, archive: Path, newer: Path
) -> None:
    first = store.select(store.install(archive))
    second = store.install(newer)
    assert store.current == first, "the car goes on with the old one until told otherwise"
    assert store.select("demo") == second == store.current
    assert store.policy().manifest.action_space.kind == "continuous"
    assert store.select(store.way_back()) == first == store.current
    assert store.policy().manifest.action_space.kind == "discrete"
    assert (store.select(store.way_back()), store.previous) == (second, first)
    store.select(second)
    assert store.previous == first, "selecting the selected one again keeps the way back"


def test_there_must_be_something_to_go_back_to(store: ModelStore, archive: Path, newer: Path) -> None:
    with pytest.raises(UserError, match="There is no model to go back to"):
        store.way_back()
    first = store.select(store.install(archive))
    with pytest.raises(UserError, match="There is no model to go back to"):
        store.way_back()
    store.select(store.install(newer))
    os.rename(store.root / first, store.root.parent / "elsewhere")
    with pytest.raises(UserError, match=f"{first}, is no longer in"):
        store.way_back()


def test_an_unknown_model_is_answered_with_the_known_ones(store: ModelStore, archive: Path) -> None:
    with pytest.raises(UserError, match="there are none yet"):
        store.select("demo")
    store.install(archive)
    with pytest.raises(UserError, match=r"no model 'dem@1'.*(did you mean|known)"):
        store.select("dem@1")


def test_a_policy_that_was_changed_on_the_car_is_refused(store: ModelStore, archive: Path) -> None:
    identifier = store.select(store.install(archive))
    (store.root / identifier / "policy" / "policy.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="has been changed or damaged"):
        store.policy()


def test_a_full_disk_leaves_nothing_behind(store: ModelStore, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DeepRacerError, match="the disk is full"):
        store.install(archive)
    assert os.listdir(store.root) == []


def repack(archive: Path, edit: Callable[[dict[str, bytes]], None], *, honest: bool) -> None:
    """Change an archive; with `honest` its checksums are set right again, as somebody who wants to deceive would."""
    files = read_archive(archive)
    edit(files)
    if honest:
        contents = json.loads(files["contents.json"])
        contents["files"] = {name: sha256_of(files[name]) for name in files if name != "contents.json"}
        files["contents.json"] = json.dumps(contents).encode()
    write_archive(archive, files)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], Any], bool, str]] = {
    "wrong checksum": (lambda f: f.update({"vehicle.yaml": b"x"}), False, "vehicle.yaml has been changed or damaged"),
    "code": (lambda f: f.update({"reward_function.py": b"1"}), True, "'reward_function.py', which does not belong"),
    "extra file": (lambda f: f.update({"policy/model.pkl": b"1"}), True, "'policy/model.pkl', which does not belong"),
    "missing graph": (lambda f: f.pop("policy/policy.onnx"), True, "policy/policy.onnx is missing"),
    "missing list": (lambda f: f.pop("contents.json"), False, "contents.json is missing"),
    "no json": (lambda f: f.update({"contents.json": b"["}), False, "contents.json is not valid JSON"),
    "name": (
        lambda f: f.update({"contents.json": f["contents.json"].replace(b'"demo"', b'"../demo"')}),
        False,
        r"name is '\.\./demo'",
    ),
    "pickle as graph": (
        lambda f: f.update({"policy/policy.onnx": pickle.dumps(Trap("executed"))}),
        True,
        "has been changed or damaged",
    ),
    "no vehicle": (lambda f: f.update({"vehicle.yaml": b"name: x"}), True, "vehicle.yaml.*geometry"),
    "yaml tag": (
        lambda f: f.update({"vehicle.yaml": b"!!python/object/apply:os.mkdir [executed]"}),
        True,
        "vehicle.yaml is not valid YAML",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_is_run(
    store: ModelStore, archive: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    edit, honest, message = HOSTILE[kind]
    repack(archive, edit, honest=honest)
    with pytest.raises(UserError, match=f"(?s){message}"):
        store.install(archive)
    assert store.models() == []
    assert not (tmp_path / "executed").exists()


def test_a_wrong_name_or_a_broken_policy_is_not_exported(tmp_path: Path, policy_folder: Path, vehicle: Vehicle) -> None:
    with pytest.raises(UserError, match="cannot name a model"):
        write_model_archive(tmp_path / "a.tar.gz", "../x", policy_folder, vehicle)
    (policy_folder / "policy.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="has been changed or damaged"):
        write_model_archive(tmp_path / "a.tar.gz", "x", policy_folder, vehicle)
    assert not (tmp_path / "a.tar.gz").exists()


def test_a_model_fits_the_car_it_was_trained_for(policy_folder: Path, vehicle: Vehicle) -> None:
    check_fit(load_policy(policy_folder), vehicle, Calibration.from_vehicle(vehicle), vehicle)


def narrowed(vehicle: Vehicle, degrees: float, speed: float) -> Calibration:
    """A car that was measured to steer and to drive less."""
    car = Calibration.from_vehicle(vehicle)
    steering = tuple(
        SteeringPoint(pulse_ns=pulse, angle=math.radians(angle))
        for pulse, angle in ((1_200_000, -30.0), (1_450_000, 0.0), (1_700_000, degrees))
    )
    forward = (car.throttle.forward[0].model_copy(update={"speed": speed}),)
    throttle = car.throttle.model_copy(update={"forward": forward})
    return car.model_copy(update={"steering": steering, "throttle": throttle})


@pytest.mark.parametrize(
    ("camera", "degrees", "speed", "message"),
    [
        ({"rate_hz": 30.0}, 30.0, 4.0, "trained at 15 Hz, but the car's camera runs at 30 Hz"),
        ({}, 27.0, 4.0, "it steers from -30.0 to 30.0 degrees, but the car reaches -30.0 to 27.0"),
        ({}, 30.0, 1.8, "it drives up to 2.00 m/s, but the car is calibrated up to 1.80"),
        ({"horizontal_fov": 2.09}, 30.0, 4.0, "learned with a field of view of 64.7 degrees, but the car has 120"),
        ({"height_px": 90}, 30.0, 4.0, "pictures of width to height 1.33, but the car has 1.78"),
        ({"pitch": 0.0}, 30.0, 4.0, "turned down by 15 degrees, but the car has 0"),
        ({"z": 0.2}, 30.0, 4.0, "a camera height of 0.127 m, but the car has 0.2"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_the_reason(
    policy_folder: Path, vehicle: Vehicle, camera: dict[str, float], degrees: float, speed: float, message: str
) -> None:
    car = vehicle.model_copy(update={"camera": vehicle.camera.model_copy(update=camera)})
    with pytest.raises(UserError, match=message) as caught:
        check_fit(load_policy(policy_folder), car, narrowed(vehicle, degrees, speed), vehicle)
    assert str(caught.value).count("; ") == 0, "one reason only"


def test_all_reasons_are_named_at_once(policy_folder: Path, vehicle: Vehicle) -> None:
    policy = load_policy(policy_folder)
    metadata = policy.metadata.model_copy(update={"sensor": ("FRONT_FACING_CAMERA", "LIDAR")})
    lidar = type(policy)(policy.folder, policy.manifest, metadata, policy.onnx)
    with pytest.raises(UserError, match=r"(?s)it needs LIDAR.*it steers.*it drives"):
        check_fit(lidar, vehicle, narrowed(vehicle, 20.0, 1.0))


def test_measurement_errors_do_not_ground_a_car(policy_folder: Path, vehicle: Vehicle) -> None:
    check_fit(load_policy(policy_folder), vehicle, narrowed(vehicle, 29.1, 1.95), vehicle)


def test_a_model_archive_tells_its_vehicle_and_name(archive: Path, vehicle: Vehicle) -> None:
    content = read_model_archive(archive)
    assert (content.name, content.vehicle) == ("demo", vehicle)
