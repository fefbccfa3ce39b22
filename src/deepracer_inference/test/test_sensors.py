"""Which sensors go together, and what each of them gives the network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from deepracer_inference.config import parse
from deepracer_inference.errors import UserError
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.sensors import LidarConfig, lidar_input


def spec(*sensors: str, **lidar: float) -> ObservationSpec:
    data = {"width": 40, "height": 24, "sensors": list(sensors), **({"lidar": lidar} if lidar else {})}
    return parse(data, ObservationSpec, "model.yaml")


def scan(**distances: float) -> npt.NDArray[np.float64]:
    """Nothing anywhere but in the rays named r0 to r63."""
    ranges = np.full((1, 64), np.inf)
    for name, distance in distances.items():
        ranges[0, int(name[1:])] = distance
    return ranges


def test_the_front_camera_alone_is_the_default() -> None:
    assert ObservationSpec().front_camera_only
    assert ObservationSpec(width=40, height=24).inputs == {"image": ((24, 40, 1), "uint8")}


@pytest.mark.parametrize("name", ["observation", "LEFT_CAMERA"])
def test_old_names_of_the_front_camera_mean_the_same(name: str) -> None:
    assert spec(name) == spec("FRONT_FACING_CAMERA")


def test_inputs_stand_in_one_order_whatever_the_list() -> None:
    mixed = spec("DISCRETIZED_SECTOR_LIDAR", "STEREO_CAMERAS", "LEFT_CAMERA", num_sectors=4, num_values_per_sector=3)
    assert mixed.sensors == ("FRONT_FACING_CAMERA", "STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR")
    assert mixed.inputs == {
        "image": ((24, 40, 1), "uint8"),
        "stereo_images": ((24, 40, 2), "uint8"),
        "lidar_sector_distances": ((12,), "float32"),
    }
    assert spec("STEREO_CAMERAS", "LIDAR").inputs["lidar"].shape == (64,)
    assert spec("STEREO_CAMERAS", "SECTOR_LIDAR").inputs["lidar_sectors"].shape == (8,)


@pytest.mark.parametrize(
    ("sensors", "message"),
    [
        ((), "a camera is missing"),
        (("LIDAR",), "a camera is missing"),
        (("FRONT_FACING_CAMERA", "LIDAR", "SECTOR_LIDAR"), "LIDAR and SECTOR_LIDAR are forms of the same lidar"),
        (("FRONT_FACING_CAMERA", "observation"), "FRONT_FACING_CAMERA is listed twice"),
        (("CAMERA",), r"sensors\[0\] is 'CAMERA', but 'FRONT_FACING_CAMERA', .* is expected"),
    ],
)
def test_sets_that_make_no_car_are_refused(sensors: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        spec(*sensors)


def test_lidar_ends_at_one_metre_and_begins_at_15_centimetres() -> None:
    seen = lidar_input("LIDAR", scan(r0=0.1, r1=0.7, r2=3.0), LidarConfig())
    assert seen.dtype == np.float32
    assert seen[0, :4].tolist() == pytest.approx([0.15, 0.7, 1.0, 1.0])


def test_a_sector_is_one_where_something_is_nearer_than_half_a_metre() -> None:
    seen = lidar_input("SECTOR_LIDAR", scan(r7=0.4, r8=0.6, r63=0.49), LidarConfig(num_sectors=2))
    assert seen.tolist() == [[1, 0, 0, 0, 0, 0, 0, 1]]


def test_discretised_sectors_mark_the_bin_of_the_nearest_thing() -> None:
    config = LidarConfig(num_sectors=4, num_values_per_sector=2, clipping_dist=2.0)
    # Sector 0 has things at 1.5 m and 0.5 m, sector 1 one at 1.0 m, sector 2 one beyond the last bin, sector 3 none.
    seen = lidar_input("DISCRETIZED_SECTOR_LIDAR", scan(r0=1.5, r15=0.5, r16=1.0, r32=2.0), config)
    assert seen.reshape(4, 2).tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("clipping_dist", [0.15, 0.2, 0.7, 2.0, 3.3])
def test_an_empty_road_is_empty_in_every_division(clipping_dist: float) -> None:
    for values in range(1, 65):  # 0.2 / (0.2 / 11) is a little less than 11
        config = LidarConfig(num_values_per_sector=values, clipping_dist=clipping_dist)
        assert not lidar_input("DISCRETIZED_SECTOR_LIDAR", scan(), config).any(), values
        near = lidar_input("DISCRETIZED_SECTOR_LIDAR", scan(r0=np.nextafter(clipping_dist, 0.0)), config)
        assert np.flatnonzero(near[0]).tolist() == [values - 1], values


def test_rays_must_be_divided_evenly_into_sectors() -> None:
    with pytest.raises(UserError, match="7 is not one of 1, 2, 4, 8, 16, 32, 64"):
        spec("FRONT_FACING_CAMERA", "DISCRETIZED_SECTOR_LIDAR", num_sectors=7)
