from __future__ import annotations

import math
from pathlib import Path

import pytest

from deepracer_inference.config import dump_yaml
from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Camera, Vehicle, load_vehicle, vehicle_names


@pytest.fixture
def deepracer() -> Vehicle:
    return load_vehicle("deepracer")


def test_every_built_in_vehicle_loads_under_its_own_name() -> None:
    assert "deepracer" in vehicle_names()
    for name in vehicle_names():
        assert load_vehicle(name).name == name


def test_deepracer_is_a_plausible_small_car(deepracer: Vehicle) -> None:
    geometry = deepracer.geometry
    assert geometry.length > geometry.wheelbase + 2 * geometry.wheel_radius
    assert geometry.width >= geometry.track_rear
    # The lens is behind the front edge, above the ground and below the roof.
    assert deepracer.camera.x < geometry.length / 2
    assert 0 < deepracer.camera.z < geometry.height
    # A body's radius of gyration is shorter than half of its diagonal.
    gyration = math.sqrt(deepracer.inertia.yaw / deepracer.inertia.mass)
    assert gyration < math.hypot(geometry.length, geometry.width) / 2
    # It cannot tip over before it slides.
    assert deepracer.tyre.friction < geometry.track_front / 2 / deepracer.inertia.cg_height


def test_control_period_is_one_frame(deepracer: Vehicle) -> None:
    assert deepracer.control_period_ns == 66_666_667
    assert deepracer.control_period_s == pytest.approx(1 / 15, abs=1e-9)


def test_camera_intrinsics_are_those_of_a_pinhole() -> None:
    # 90 deg: the half width is one focal length.
    camera = Camera(x=0.0, y=0.0, z=0.1, pitch=0.0, horizontal_fov=math.pi / 2)
    assert camera.focal_px == pytest.approx(80.0)


def test_deepracer_camera_sees_what_aws_computed(deepracer: Vehicle) -> None:
    camera = deepracer.camera
    assert math.degrees(2 * math.atan(60 / camera.focal_px)) == pytest.approx(50.9, abs=0.05)


def test_axle_distances_add_up(deepracer: Vehicle) -> None:
    geometry = deepracer.geometry
    assert geometry.cg_to_front_axle + geometry.cg_to_rear_axle == pytest.approx(geometry.wheelbase)
    assert geometry.origin_to_cg == pytest.approx(geometry.cg_to_rear_axle - geometry.origin_to_rear_axle)


def test_a_vehicle_file_is_loaded_by_path(tmp_path: Path, deepracer: Vehicle) -> None:
    path = tmp_path / "mine.yaml"
    dump_yaml(deepracer, path)
    assert load_vehicle(path) == deepracer
    assert load_vehicle(str(path)) == deepracer


def test_an_unknown_vehicle_is_answered_with_the_known_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no vehicle 'deepracr' \(did you mean 'deepracer'\?\)"):
        load_vehicle("deepracr")
    with pytest.raises(UserError, match="There is no file"):
        load_vehicle(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "wheelbase: 0.163974",
            "wheelbase: 0.05",
            "cg_to_rear_axle is 0.081663, but must be smaller than the wheelbase",
        ),
        ("wheelbase: 0.163974", "wheelbase: -1", "geometry.wheelbase is -1, but a value above 0.0 is expected"),
        ("wheelbase: 0.163974", "wheelbas: 1", "unknown key 'geometry.wheelbas'; did you mean 'wheelbase'?"),
        (
            "latency_s: ",
            "latency_s: 1  #",
            r"latency_s is 1.0, but must be shorter than one control period of 0.0667 s",
        ),
        ("middle_ns: 1450000", "middle_ns: 9", "minimum_ns < middle_ns < maximum_ns is expected"),
        ("minimum_ns: 1200000", "minimum_ns: 499999", "must lie within 500000 to 2500000 ns"),
        ("period_ns: 20000000", "period_ns: 9", "must fit into the period of 9 ns"),
        ("polarity: -1", "polarity: 0", "pwm.throttle.polarity is 0, but -1 or 1 is expected"),
    ],
)
def test_an_impossible_vehicle_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = Path(__file__).parents[1].joinpath("deepracer_inference", "vehicles", "deepracer.yaml").read_text()
    assert text.count(old) == 1
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        load_vehicle(path)
