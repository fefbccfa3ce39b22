"""The embedded simulator's sensors together: stereo images, scans, and cars that lack them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepracer_inference.errors import UserError
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.camera.world import World
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.objects import BOX, Objects
from deepracer_sim.tracks.track import Track


def observation(*sensors: Any) -> ObservationSpec:
    return ObservationSpec(width=40, height=24, sensors=sensors)


@pytest.fixture(scope="module")
def vehicle() -> Vehicle:
    return load_vehicle("deepracer")


@pytest.fixture(scope="module")
def world(circle_track: Track) -> World:
    return World(circle_track, texel=0.01)


def test_a_stereo_pair_is_two_cameras_six_centimetres_apart(
    circle_track: Track, vehicle: Vehicle, world: World
) -> None:
    """Each half equals the image of a car whose one camera is mounted there."""
    stereo = EmbeddedSimulator(circle_track, vehicle, 4, observation=observation("STEREO_CAMERAS"), world=world)
    images = stereo.readings()["stereo_images"]
    assert images.shape == (4, 24, 40, 2)
    for channel, y in ((0, 0.03), (1, -0.03)):
        shifted = vehicle.model_copy(update={"camera": vehicle.camera.model_copy(update={"y": y})})
        single = EmbeddedSimulator(
            circle_track, shifted, 4, observation=observation("FRONT_FACING_CAMERA"), world=world
        )
        assert np.array_equal(images[..., channel], single.readings()["image"][..., 0])
    assert not np.array_equal(images[..., 0], images[..., 1])


def test_all_sensors_at_once_see_the_same_box(circle_track: Track, vehicle: Vehicle, world: World) -> None:
    """A box ahead is in all images; one behind is in the scan only, which looks back."""
    sensors = observation("FRONT_FACING_CAMERA", "STEREO_CAMERAS", "SECTOR_LIDAR")
    pose = circle_track.pose_at(np.zeros(1))

    def readings(ahead: float) -> dict[str, NDArray[Any]]:
        objects = Objects(circle_track, [BOX], 1, 0)
        direction = np.array([np.cos(pose[0, 2]), np.sin(pose[0, 2])])
        objects.poses[0, 0] = (*(pose[0, :2] + ahead * direction), pose[0, 2])
        simulator = EmbeddedSimulator(circle_track, vehicle, 1, observation=sensors, world=world, objects=objects)
        simulator.reset(np.arange(1), pose)
        return {name: array.copy() for name, array in simulator.readings().items()}

    empty = EmbeddedSimulator(circle_track, vehicle, 1, observation=sensors, world=world)
    empty.reset(np.arange(1), pose)
    nothing = empty.readings()
    front, back = readings(0.9), readings(-0.6)
    for name in ("image", "stereo_images"):
        assert not np.array_equal(front[name], nothing[name])
        assert np.array_equal(back[name], nothing[name])
    assert nothing["lidar_sectors"].sum() == front["lidar_sectors"].sum() == 0
    assert back["lidar_sectors"].tolist() == [[0, 0, 0, 1, 1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("sensor", "part", "lacking"),
    [("STEREO_CAMERAS", "stereo_baseline", "one lens only"), ("LIDAR", "lidar", "has no lidar")],
)
def test_a_sensor_that_the_car_lacks_is_refused(
    circle_track: Track, vehicle: Vehicle, world: World, sensor: str, part: str, lacking: str
) -> None:
    if part == "lidar":
        plain = vehicle.model_copy(update={"lidar": None})
    else:
        plain = vehicle.model_copy(update={"camera": vehicle.camera.model_copy(update={"stereo_baseline": 0.0})})
    sensors = ("FRONT_FACING_CAMERA", sensor)
    with pytest.raises(UserError, match=lacking):
        EmbeddedSimulator(circle_track, plain, 1, observation=observation(*sensors), world=world)


def test_images_are_those_of_the_left_lens_without_a_front_camera(
    circle_track: Track, vehicle: Vehicle, world: World
) -> None:
    simulator = EmbeddedSimulator(circle_track, vehicle, 2, observation=observation("STEREO_CAMERAS"), world=world)
    assert np.array_equal(simulator.images(), simulator.readings()["stereo_images"][..., 0])
