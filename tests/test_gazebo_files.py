"""What Gazebo reads, against what it is made from: worlds, the car, controllers and bridge."""

from __future__ import annotations

import ctypes.util
import math
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import shapely
import yaml
from numpy.typing import NDArray

from deepracer_bringup.controllers import with_geometry
from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.dynamics.kernels import GRAVITY, SLIP_SPEED
from deepracer_sim.gazebo.bridge import entries_for
from deepracer_sim.gazebo.meshes import track_parts
from deepracer_sim.gazebo.world import MAX_CARS, STEP_NS, STEPS_PER_PERIOD, WORLD_NAME, world_sdf, write_world
from deepracer_sim.tracks.library import library_names, load_track

ROOT = Path(__file__).parents[1]
WORLDS = ROOT / "worlds"
BRINGUP = ROOT / "src" / "deepracer_bringup"
DRIVES = ("none", "topics", "gazebo", "ros2_control")
# Prints what libsdformat has to say about a file; its result is 0 for a valid one.
SDFORMAT = "import ctypes, sys; sys.exit(ctypes.CDLL(sys.argv[1]).cmdCheck(sys.argv[2].encode()))"


def check_sdf(path: Path) -> str:
    """Have a file parsed as Gazebo does; returns what the parser says."""
    libraries = [name for version in (15, 14, 13, 12) if (name := ctypes.util.find_library(f"sdformat{version}"))]
    if shutil.which("gz"):
        command = ["gz", "sdf", "-k", str(path)]
    elif libraries:
        command = [sys.executable, "-c", SDFORMAT, libraries[0], str(path)]
    else:
        pytest.skip("there is no libsdformat: apt install libsdformat12-12 (Debian), or Gazebo")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return (done.stdout + done.stderr).strip()


def expand(folder: Path, vehicle: Vehicle, drive: str, car: int = 0) -> Path:
    """Expand the car's xacro file."""
    xacro = pytest.importorskip("xacro", reason="xacro is not installed (pip install xacro)")
    (folder / "vehicle.yaml").write_text(yaml.safe_dump(vehicle.model_dump()))
    mappings = {"vehicle": str(folder / "vehicle.yaml"), "car": str(car), "drive": drive, "controllers": "/c.yaml"}
    document = xacro.process_file(str(BRINGUP / "urdf" / "deepracer.urdf.xacro"), mappings=mappings)
    path = folder / f"{drive}_{car}.urdf"
    path.write_text(document.toprettyxml())
    return path


def other_vehicle() -> Vehicle:
    """A car with all numbers different from AWS's, its base_link above the rear axle."""
    content = load_vehicle("deepracer").model_dump()
    content["name"] = "other"
    lengths = {"wheelbase": 0.26, "cg_to_rear_axle": 0.12, "origin_to_rear_axle": 0.0, "track_front": 0.2}
    lengths |= {"track_rear": 0.19, "wheel_radius": 0.04, "length": 0.4, "width": 0.24, "height": 0.2}
    content["geometry"] |= lengths
    content["inertia"] |= {"mass": 3.1, "yaw": 0.06, "cg_height": 0.06}
    content["tyre"]["friction"] = 0.7
    content["steering"] |= {"limit": 0.4, "time_constant_s": 0.0}
    content["camera"] |= {"x": 0.2, "y": 0.01, "z": 0.15, "pitch": 0.1, "horizontal_fov": 1.4, "width_px": 320,
                          "height_px": 240}  # fmt: skip
    return Vehicle.model_validate(content)


VEHICLES = {"deepracer": load_vehicle("deepracer"), "other": other_vehicle()}


@pytest.fixture(scope="module", params=VEHICLES)
def car(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Vehicle, Path]:
    """A vehicle, and a folder with its URDF files for all drives, as car 3."""
    vehicle, folder = VEHICLES[request.param], tmp_path_factory.mktemp(request.param)
    for drive in DRIVES:
        expand(folder, vehicle, drive, car=3)
    return vehicle, folder


def robot_of(car: tuple[Vehicle, Path], drive: str) -> ElementTree.Element:
    return ElementTree.parse(car[1] / f"{drive}_3.urdf").getroot()


def numbers(text: str | None) -> NDArray[np.float64]:
    return np.array([float(each) for each in (text or "").split()])


def numbers_in(element: ElementTree.Element | None, name: str) -> NDArray[np.float64]:
    assert element is not None
    return numbers(element.get(name))


def joint_of(robot: ElementTree.Element, name: str) -> ElementTree.Element:
    (joint,) = [each for each in robot.findall("joint") if each.get("name") == name]
    return joint


def place_of(robot: ElementTree.Element, link: str) -> NDArray[np.float64]:
    """Place of a link in base_link, m; no joint on the way may be turned."""
    place = np.zeros(3)
    while link != "base_link":
        (joint,) = [each for each in robot.findall("joint") if each.find("child").get("link") == link]  # type: ignore[union-attr]
        origin = joint.find("origin")
        if origin is not None:
            place += numbers_in(origin, "xyz") if origin.get("xyz") else 0.0
        link = joint.find("parent").get("link", "")  # type: ignore[union-attr]
    return place


def test_the_worlds_are_those_of_the_library(tmp_path: Path) -> None:
    names = library_names()
    expected = {f"{name}.{kind}" for name in names for kind in ("sdf", "obj")} | {"horizon.obj", "horizon.png"}
    assert {path.name for path in WORLDS.iterdir()} == expected
    advice = "the worlds are out of date; write them again with: deepracer world TRACK --output worlds"
    files = write_world(load_track(names[0]), tmp_path)
    for name in names:
        track = load_track(name)
        files = files._replace(sdf=tmp_path / f"{name}.sdf", track=tmp_path / f"{name}.obj")
        assert (WORLDS / files.sdf.name).read_text() == world_sdf(track, files, 0.0), advice
        # Other versions of the geometry library may choose other triangles for the same areas.
        for part, area in track_parts(track).items():
            assert _area_in(WORLDS / files.track.name, part).symmetric_difference(area).area < 1e-3, advice
    assert (WORLDS / "horizon.obj").read_text() == files.horizon.read_text(), advice
    ours, now = (np.asarray(cv2.imread(str(path))).astype(int) for path in (WORLDS / "horizon.png", files.picture))
    assert np.abs(ours - now).max() <= 1, advice


def _area_in(path: Path, part: str) -> shapely.Geometry:
    lines = path.read_text().splitlines()
    vertices = np.array([line.split()[1:3] for line in lines if line.startswith("v ")], np.float64)
    first = lines.index(f"o {part}") + 1
    last = next((k for k in range(first, len(lines)) if lines[k].startswith("o ")), len(lines))
    faces = np.array([re.findall(r"(\d+)//", line) for line in lines[first:last] if line.startswith("f ")], np.int64)
    return shapely.coverage_union_all(shapely.polygons(vertices[faces - 1]))


@pytest.mark.parametrize("name", library_names())
def test_the_parser_has_nothing_to_say_about_a_world(name: str) -> None:
    assert check_sdf(WORLDS / f"{name}.sdf") == "Valid."


def test_the_parser_would_complain(tmp_path: Path) -> None:
    broken = (WORLDS / "oval.sdf").read_text().replace('name="carpet"', 'name="floor"')
    (tmp_path / "broken.sdf").write_text(broken)
    assert "Non-unique" in check_sdf(tmp_path / "broken.sdf")


@pytest.mark.parametrize("drive", DRIVES)
def test_the_parsers_have_nothing_to_say_about_the_car(car: tuple[Vehicle, Path], drive: str) -> None:
    path = car[1] / f"{drive}_3.urdf"
    if shutil.which("check_urdf"):
        done = subprocess.run(["check_urdf", str(path)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not done.stderr
        assert "root Link: base_link" in done.stdout
    assert check_sdf(path) == "Valid."
    if not shutil.which("check_urdf"):
        pytest.skip("there is no check_urdf: apt install liburdfdom-tools")


def test_mass_and_inertia_are_those_of_the_vehicle(car: tuple[Vehicle, Path]) -> None:
    vehicle, robot = car[0], robot_of(car, "none")
    mass, parts = 0.0, []
    moment: NDArray[np.float64] = np.zeros(3)
    for link in robot.findall("link"):
        inertial = link.find("inertial")
        if inertial is None:
            continue
        share = float(inertial.find("mass").get("value", ""))  # type: ignore[union-attr]
        origin = inertial.find("origin")
        place = place_of(robot, link.get("name", "")) + (0.0 if origin is None else numbers_in(origin, "xyz"))
        inertia = {key: float(value) for key, value in inertial.find("inertia").items()}  # type: ignore[union-attr]
        assert share > 0.0
        # No body has a moment of inertia that is greater than the sum of the other two.
        for a, b, c in (("ixx", "iyy", "izz"), ("iyy", "izz", "ixx"), ("izz", "ixx", "iyy")):
            assert 0.0 < inertia[a] <= inertia[b] + inertia[c]
        mass, moment = mass + share, moment + share * place
        parts.append((share, place, inertia["izz"]))
    center = moment / mass
    yaw = sum(izz + share * float(np.sum((place - center)[:2] ** 2)) for share, place, izz in parts)
    assert mass == pytest.approx(vehicle.inertia.mass, rel=1e-9)
    np.testing.assert_allclose(center, [vehicle.geometry.origin_to_cg, 0.0, vehicle.inertia.cg_height], atol=1e-9)
    assert yaw == pytest.approx(vehicle.inertia.yaw, rel=1e-9)


def test_the_wheels_are_where_the_vehicle_has_them(car: tuple[Vehicle, Path]) -> None:
    vehicle, robot = car[0], robot_of(car, "none")
    geometry = vehicle.geometry
    wheels = {
        name: place_of(robot, f"{name}_wheel") for name in ("left_front", "right_front", "left_rear", "right_rear")
    }
    for name, (x, y, z) in wheels.items():
        front = name.endswith("front")
        assert x == pytest.approx(-geometry.origin_to_rear_axle + (geometry.wheelbase if front else 0.0))
        assert y == pytest.approx(
            (1 if "left" in name else -1) * (geometry.track_front if front else geometry.track_rear) / 2
        )
        # base_link is on the ground, and so is the wheel's lowest point.
        assert z == pytest.approx(geometry.wheel_radius)
        cylinder = robot.find(f"link[@name='{name}_wheel']/visual/geometry/cylinder")
        assert numbers_in(cylinder, "radius")[0] == pytest.approx(geometry.wheel_radius)
        assert numbers_in(cylinder, "length")[0] == pytest.approx(geometry.wheel_width)
        ball = robot.find(f"link[@name='{name}_wheel']/collision/geometry/sphere")
        assert numbers_in(ball, "radius")[0] == pytest.approx(geometry.wheel_radius)
    box = robot.find("link[@name='chassis']/collision/geometry/box")
    length, width, height = numbers_in(box, "size")
    top = numbers_in(robot.find("link[@name='chassis']/collision/origin"), "xyz")[2] + height / 2
    assert (length, width, top) == pytest.approx((geometry.length, geometry.width, geometry.height))


def test_the_hinges_reach_as_far_as_the_inner_wheel_has_to_turn(car: tuple[Vehicle, Path]) -> None:
    vehicle, robot = car[0], robot_of(car, "none")
    # With full lock the car turns around a point on the line of the rear axle.
    radius = vehicle.geometry.wheelbase / math.tan(vehicle.steering.limit)
    inner = math.atan2(vehicle.geometry.wheelbase, radius - vehicle.geometry.track_front / 2)
    assert inner > vehicle.steering.limit
    for side in ("left", "right"):
        limit = joint_of(robot, f"{side}_steering_hinge_joint").find("limit")
        assert numbers_in(limit, "lower")[0] == pytest.approx(-inner)
        assert numbers_in(limit, "upper")[0] == pytest.approx(inner)
        assert numbers_in(limit, "velocity")[0] == pytest.approx(vehicle.steering.rate_limit)


def test_wheels_can_turn_and_push_as_much_as_the_vehicle_needs(car: tuple[Vehicle, Path]) -> None:
    vehicle, robot = car[0], robot_of(car, "none")
    limit = joint_of(robot, "left_rear_wheel_joint").find("limit")
    force = 2 * numbers_in(limit, "effort")[0] / vehicle.geometry.wheel_radius
    assert force == pytest.approx(vehicle.inertia.mass * vehicle.drive.acceleration_limit)
    # In the tightest bend the outer wheel drives on a circle wider by half the track.
    wider = 1.0 + 0.5 * vehicle.geometry.track_rear * math.tan(vehicle.steering.limit) / vehicle.geometry.wheelbase
    fastest = wider * vehicle.drive.speed_limit / vehicle.geometry.wheel_radius
    assert numbers_in(limit, "velocity")[0] >= fastest


def test_the_camera_is_the_vehicles(car: tuple[Vehicle, Path]) -> None:
    vehicle, robot = car[0], robot_of(car, "gazebo")
    camera = vehicle.camera
    origin = joint_of(robot, "camera_joint").find("origin")
    np.testing.assert_allclose(numbers_in(origin, "xyz"), [camera.x, camera.y, camera.z])
    np.testing.assert_allclose(numbers_in(origin, "rpy"), [0.0, camera.pitch, 0.0])
    sensor = robot.find("gazebo[@reference='camera_link']/sensor")
    assert sensor is not None
    assert float(sensor.findtext("camera/horizontal_fov", "")) == pytest.approx(camera.horizontal_fov)
    assert sensor.findtext("camera/image/width") == str(camera.width_px)
    assert sensor.findtext("camera/image/height") == str(camera.height_px)
    # Gazebo cannot keep 15 Hz: pictures are asked for.
    assert (sensor.findtext("update_rate"), sensor.findtext("camera/triggered")) == ("0", "true")
    assert vehicle.control_period_ns == pytest.approx(STEPS_PER_PERIOD * STEP_NS, abs=10)


def test_the_optical_frame_looks_where_the_camera_does(car: tuple[Vehicle, Path]) -> None:
    camera, robot = car[0].camera, robot_of(car, "none")
    joint = joint_of(robot, "camera_optical_joint")
    assert joint.find("parent").get("link") == "base_link"  # type: ignore[union-attr]
    np.testing.assert_allclose(numbers_in(joint.find("origin"), "xyz"), [camera.x, camera.y, camera.z])
    roll, pitch, yaw = numbers_in(joint.find("origin"), "rpy")
    turned = _turn(2, yaw) @ _turn(1, pitch) @ _turn(0, roll)
    ahead, down = (
        [math.cos(camera.pitch), 0.0, -math.sin(camera.pitch)],
        [-math.sin(camera.pitch), 0.0, -math.cos(camera.pitch)],
    )
    np.testing.assert_allclose(turned, np.column_stack([[0.0, -1.0, 0.0], down, ahead]), atol=1e-12)


def _turn(axis: int, angle: float) -> NDArray[np.float64]:
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[j, i] = math.sin(angle)
    matrix[i, j] = -matrix[j, i]
    return matrix


def test_cars_neither_touch_nor_see_each_other(car: tuple[Vehicle, Path], tmp_path: Path) -> None:
    vehicle = car[0]
    masks = []
    for number in (0, 3, MAX_CARS - 1):
        robot = ElementTree.parse(expand(tmp_path, vehicle, "gazebo", car=number)).getroot()
        extras: dict[str | None, ElementTree.Element] = {}
        for each in robot.findall("gazebo"):
            extras.setdefault(each.get("reference"), ElementTree.Element("gazebo")).extend(each)
        shapes = {link.get("name") for link in robot.findall("link") if link.find("visual") is not None}
        assert all(extras[name].findtext("visual/visibility_flags") == "1" for name in shapes)
        assert extras["camera_link"].findtext("sensor/camera/visibility_mask") == "2"
        solid = {link.get("name") for link in robot.findall("link") if link.find("collision") is not None}
        bits = {extras[name].findtext("collision/surface/contact/collide_bitmask") for name in solid}
        assert len(bits) == 1
        masks.append(int(bits.pop() or ""))
        friction = extras["left_rear_wheel"].findtext("collision/surface/friction/ode/mu")
        assert float(friction or "") == vehicle.tyre.friction
    assert np.bitwise_and.reduce(masks) == 0
    ground = ElementTree.parse(WORLDS / "oval.sdf").getroot().findtext(".//collide_bitmask")
    assert all(mask & int(ground or "") for mask in masks)


def test_tyres_and_differentials_are_those_of_the_vehicle(car: tuple[Vehicle, Path]) -> None:
    vehicle, robot = car[0], robot_of(car, "gazebo")
    plugin = robot.find("gazebo/plugin[@filename='deepracer_gazebo-tyres']")
    assert plugin is not None
    given = {each.tag: float(each.text or "") for each in plugin}
    for axle in ("front", "rear"):
        x, y, _ = place_of(robot, f"left_{axle}_wheel")
        assert (given.pop(f"x_{axle}"), given.pop(f"y_{axle}")) == pytest.approx((x, y))
    # Both axles carry the car, and its weight turns it about neither.
    front, rear = given.pop("load_front"), given.pop("load_rear")
    geometry = vehicle.geometry
    assert 2 * (front + rear) == pytest.approx(GRAVITY * vehicle.inertia.mass)
    assert front * geometry.cg_to_front_axle == pytest.approx(rear * geometry.cg_to_rear_axle)
    assert given == {
        "wheel_radius": geometry.wheel_radius,
        "friction": vehicle.tyre.friction,
        "stiffness_front": vehicle.tyre.cornering_stiffness_front,
        "stiffness_rear": vehicle.tyre.cornering_stiffness_rear,
        "differential_lock": vehicle.drive.differential_lock,
        "time_constant": vehicle.drive.time_constant_s,
        "acceleration_limit": vehicle.drive.acceleration_limit,
        "deceleration_limit": vehicle.drive.deceleration_limit,
    }
    # Each reads the numbers that it is given, and stands behind what drives the joints and before what stops them.
    source = (ROOT / "plugins" / "deepracer_gazebo" / "src" / "tyres.cpp").read_text()
    for name in (each.tag for each in plugin):
        assert f'"{name}"' in source or f'"{name.rsplit("_", 1)[0]}_"' in source, name
    assert re.findall(r"kSlipSpeed\{([\d.]+)\}", source) == [str(SLIP_SPEED)]
    order = [each.get("filename") for each in robot.findall("gazebo/plugin")]
    drive, tyres, standstill = (
        order.index(name)
        for name in ("gz-sim-ackermann-steering-system", "deepracer_gazebo-tyres", "deepracer_gazebo-standstill")
    )
    assert drive < tyres < standstill


def test_one_car_holds_the_shutter_for_all(car: tuple[Vehicle, Path], tmp_path: Path) -> None:
    for number in (0, 1):
        robot = ElementTree.parse(expand(tmp_path, car[0], "gazebo", car=number)).getroot()
        assert len(robot.findall("gazebo/plugin[@filename='deepracer_gazebo-shutter']")) == (number == 0)


def test_every_system_that_a_car_loads_is_built(car: tuple[Vehicle, Path]) -> None:
    own = "deepracer_gazebo-"
    loaded = {plugin.get("filename", "") for plugin in robot_of(car, "gazebo").findall("gazebo/plugin")}
    cmake = (ROOT / "plugins" / "deepracer_gazebo" / "CMakeLists.txt").read_text()
    built = set(re.findall(rf"add_library\(({own}\S+) SHARED src/\S+\)", cmake))
    assert {name for name in loaded if name.startswith(own)} | {f"{own}shutter"} == built
    systems = re.search(r"foreach\(system ([^)]*)\)", cmake)
    assert systems is not None
    assert {own + name for name in systems[1].split()} == built


def test_both_drives_steer_with_the_lag_of_the_vehicle(car: tuple[Vehicle, Path]) -> None:
    vehicle = car[0]
    # A joint that turns at gain times what is left is a first-order lag; a gain of 300 would overshoot in one step.
    gain = 1.0 / vehicle.steering.time_constant_s if vehicle.steering.time_constant_s else 80.0
    plugin = robot_of(car, "gazebo").find("gazebo/plugin[@filename='gz-sim-ackermann-steering-system']")
    assert plugin is not None
    assert float(plugin.findtext("steer_p_gain", "")) == pytest.approx(gain)
    # The plugin's smallest radius is wheel_base / sin(steering_limit).
    tightest = vehicle.geometry.wheelbase / math.sin(float(plugin.findtext("steering_limit", "")))
    assert tightest == pytest.approx(vehicle.geometry.wheelbase / math.tan(vehicle.steering.limit))
    expected = {"wheel_base": "wheelbase", "wheel_separation": "track_rear", "kingpin_width": "track_front",
                "wheel_radius": "wheel_radius"}  # fmt: skip
    for name, key in expected.items():
        assert float(plugin.findtext(name, "")) == getattr(vehicle.geometry, key)
    control = robot_of(car, "ros2_control").find("gazebo/plugin[@filename='gz_ros2_control-system']")
    rate = controllers()["/**/controller_manager"]["ros__parameters"]["update_rate"]
    assert control is not None
    assert float(control.findtext("position_proportional_gain", "")) * rate == pytest.approx(gain)
    # Once in every step.
    assert int(1e9 / rate) == STEP_NS


def controllers() -> dict[str, Any]:
    return yaml.safe_load((BRINGUP / "config" / "controllers.yaml").read_text())


def test_controllers_move_joints_that_exist_and_compute_with_the_vehicle(car: tuple[Vehicle, Path]) -> None:
    vehicle, robot = car[0], robot_of(car, "ros2_control")
    given = with_geometry(controllers(), vehicle)["/**/ackermann_steering_controller"]["ros__parameters"]
    hardware = {each.get("name"): each for each in robot.findall("ros2_control/joint")}
    joints = {each.get("name") for each in robot.findall("joint") if each.get("type") != "fixed"}
    assert set(hardware) == joints
    for key, interface, side in (
        ("traction_joints_names", "velocity", "rear"),
        ("steering_joints_names", "position", "steering"),
    ):
        right, left = given[key]
        assert right.startswith("right_") and left.startswith("left_") and side in right
        for name in (right, left):
            command = hardware[name].find("command_interface")
            assert command is not None
            assert command.get("name") == interface
    assert given["wheelbase"] == vehicle.geometry.wheelbase
    assert given["traction_track_width"] == vehicle.geometry.track_rear
    assert given["steering_track_width"] == vehicle.geometry.track_front
    assert given["traction_wheels_radius"] == vehicle.geometry.wheel_radius
    types = controllers()["/**/controller_manager"]["ros__parameters"]
    assert {name for name, value in types.items() if isinstance(value, dict)} == {
        "joint_state_broadcaster", "ackermann_steering_controller"}  # fmt: skip
    for side in ("left", "right"):
        limit = hardware[f"{side}_steering_hinge_joint"].find("command_interface/param[@name='max']")
        upper = joint_of(robot, f"{side}_steering_hinge_joint").find("limit")
        assert limit is not None
        assert float(limit.text or "") == numbers_in(upper, "upper")[0]


def bridge() -> list[dict[str, Any]]:
    return yaml.safe_load((BRINGUP / "config" / "bridge.yaml").read_text())


def test_the_bridge_and_the_car_name_the_same_topics(car: tuple[Vehicle, Path]) -> None:
    entries = {entry["gz_topic_name"]: entry for entry in entries_for(bridge(), 4) if "gz_topic_name" in entry}
    robot = robot_of(car, "gazebo")
    plugins = {each.get("name", "").split("::")[-1]: each for each in robot.findall("gazebo/plugin")}
    names = {
        "image": robot.findtext("gazebo/sensor/topic"),
        "odom": plugins["OdometryPublisher"].findtext("odom_topic"),
        "cmd_vel": plugins["AckermannSteering"].findtext("topic"),
    }
    for name, topic in names.items():
        assert entries[topic or ""]["ros_topic_name"] == f"/gazebo/car_3/{name}"
        assert entries[topic or ""]["direction"] == ("ROS_TO_GZ" if name == "cmd_vel" else "GZ_TO_ROS")
    # The plugins of deepracer_gazebo name their topics after the model.
    for name in ("placed", "commanded", "joint_states"):
        assert entries[f"/car_3/{name}"]["ros_topic_name"] == f"/gazebo/car_3/{name}"
    trigger = robot.findtext("gazebo/sensor/camera/trigger_topic") or ""
    assert entries[trigger]["direction"] == "ROS_TO_GZ"
    # ros2_control's controllers use the ROS topics of the bridge themselves.
    remapped = dict(
        (each.text or "").split(":=") for each in robot_of(car, "ros2_control").findall("gazebo/plugin/ros/remapping")
    )
    assert remapped["/car_3/ackermann_steering_controller/reference"] == "/gazebo/car_3/cmd_vel"
    # The joints under these two names are gazebo_node's and the bridge's.
    assert remapped["/car_3/joint_states"] not in ("/car_3/joint_states", "/gazebo/car_3/joint_states")
    assert robot_of(car, "ros2_control").findtext("gazebo/plugin/ros/namespace") == "/car_3"


def test_the_bridge_serves_the_world_once_and_every_car() -> None:
    for cars in (1, MAX_CARS):
        entries = entries_for(bridge(), cars)
        names = [str(entry.get("ros_topic_name", entry.get("service_name"))) for entry in entries]
        assert len(names) == len(set(names)) == 4 + 6 * cars
        assert {name for name in names if name.startswith("/world")} == {
            f"/world/{WORLD_NAME}/control", f"/world/{WORLD_NAME}/set_pose"}  # fmt: skip
    # The file itself is that for one car.
    assert sorted(map(str, entries_for(bridge(), 1))) == sorted(map(str, bridge()))
    for cars in (0, MAX_CARS + 1):
        with pytest.raises(UserError, match="Gazebo can keep 1 to 16"):
            entries_for(bridge(), cars)


def test_the_joints_are_those_that_the_simulator_publishes(car: tuple[Vehicle, Path]) -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")
    from deepracer_inference.nodes.joints import JOINTS, STEERING_JOINT

    joints = {each.get("name") for each in robot_of(car, "none").findall("joint") if each.get("type") != "fixed"}
    assert joints == set(JOINTS) - {STEERING_JOINT}


def test_the_bridge_carries_what_gazebo_node_reads_and_writes() -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")
    from deepracer_sim.nodes.gazebo_transport import PARTS, RAW

    carried = {entry["ros_topic_name"]: entry for entry in bridge() if "ros_topic_name" in entry}
    read = {f"{RAW}/car_0/{topic}": kind for kind, topic in PARTS}
    for topic, kind in read.items():
        package, folder = kind.__module__.split(".")[:2]
        assert carried[topic]["ros_type_name"] == f"{package}/{folder}/{kind.__name__}"
        assert carried[topic]["direction"] == "GZ_TO_ROS"
    written = {f"{RAW}/car_0/cmd_vel", f"{RAW}/camera_trigger"}
    assert set(carried) == set(read) | written | {f"{RAW}/clock"}


def test_the_car_loads_the_plugins_that_we_build(car: tuple[Vehicle, Path]) -> None:
    package = ROOT / "plugins" / "deepracer_gazebo"
    for drive in ("gazebo", "ros2_control"):
        plugins = {each.get("name"): each for each in robot_of(car, drive).findall("gazebo/plugin")}
        # The last one, so that it can take back what the drives before it have asked for in the same step.
        assert list(plugins)[-1] == "deepracer_gazebo::Standstill"
        for name, source in (
            ("Standstill", "standstill"),
            ("JointStates", "joint_states"),
            ("CommandEcho", "command_echo"),
        ):
            file = plugins[f"deepracer_gazebo::{name}"].get("filename")
            assert f"add_library({file} SHARED src/{source}.cpp)" in (package / "CMakeLists.txt").read_text()
            assert f"GZ_ADD_PLUGIN(deepracer_gazebo::{name}," in (package / "src" / f"{source}.cpp").read_text()


def test_without_a_simulator_there_is_none_of_it(car: tuple[Vehicle, Path]) -> None:
    robot = robot_of(car, "none")
    assert (
        not robot.findall("gazebo/plugin") and not robot.findall("gazebo/sensor") and not robot.findall("ros2_control")
    )
    assert os.path.getsize(car[1] / "none_3.urdf") > 0
