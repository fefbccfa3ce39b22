"""Boxes and cars in the picture, against rays that are cast through every pixel one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from deepracer_inference.observation import ObservationSpec, observe
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.camera.object_kernels import BOTTOM_LIGHT, SIDE_LIGHT, SIDE_SPREAD, SUN, TOP_LIGHT
from deepracer_sim.camera.renderer import Camera
from deepracer_sim.camera.solids import Solids, solids
from deepracer_sim.camera.world import World
from deepracer_sim.object_kernels import overlap
from deepracer_sim.objects import BOT_CAR, BOX, ObjectKind
from deepracer_sim.simulator import FloatArray, FrameArray
from deepracer_sim.tracks import Track

CAR = np.array([2.0, 0.1, 0.2])
SCENES = {
    "a box ahead": ([BOX], [(1.2, 0.1, 0.3)]),
    "a box half beside the lens": ([BOX], [(0.25, 0.3, 0.2)]),
    "a box that fills the view": ([BOX], [(0.40, 0.0, 0.1)]),
    "a box behind": ([BOX], [(-0.6, 0.0, 0.0)]),
    "a car ahead": ([BOT_CAR], [(0.8, -0.1, 0.5)]),
    "the near box hides the far one": ([BOX, BOX], [(0.9, 0.05, 0.2), (1.6, 0.0, -0.4)]),
    "and also in the other order": ([BOX, BOX], [(1.6, 0.0, -0.4), (0.9, 0.05, 0.2)]),
    # The middle of the first is nearer to the lens, but the second hides a part of it.
    "two cars askew": ([BOT_CAR, BOT_CAR], [(0.572, -0.114, 0.486), (0.592, 0.131, 0.484)]),
    "six of them": (
        [BOX, BOT_CAR, BOX, BOT_CAR, BOX, BOT_CAR],
        [(3.0, 0.5, 0.1), (0.7, 0.2, 0.3), (1.5, -0.4, 1.0), (1.4, 0.3, 2.0), (2.2, 0.1, 0.5), (4.0, 0.0, 0.0)],
    ),
}


@pytest.fixture(scope="module")
def vehicle() -> Vehicle:
    return load_vehicle("deepracer")


@pytest.fixture(scope="module")
def world(stadium_track: Track) -> World:
    return World(stadium_track, texel=0.02)


def placed(scene: str) -> tuple[list[ObjectKind], FloatArray]:
    """Bring the poses of a scene from the car's frame into the world's."""
    kinds, poses = SCENES[scene]
    return kinds, world_poses(poses)


def world_poses(poses: list[tuple[float, float, float]]) -> FloatArray:
    """Bring poses from the car's frame into the world's."""
    cos, sin = math.cos(CAR[2]), math.sin(CAR[2])
    return np.array([(CAR[0] + cos * x - sin * y, CAR[1] + sin * x + cos * y, CAR[2] + yaw) for x, y, yaw in poses])


def draw(camera: Camera, background: FrameArray, looks: Solids, poses: FloatArray) -> FrameArray:
    image = background[None].copy()
    camera.draw_gray(looks, CAR[None], poses[None], np.ones((1, len(poses)), np.bool_), image, 0, 1)
    return image[0]


def cast(vehicle: Vehicle, looks: Solids, poses: FloatArray, u: float, v: float) -> float | None:
    """Return the grey level that the ray through image point (u, v), px from the centre, hits; None = nothing."""
    mount = vehicle.camera
    cos, sin = math.cos(mount.pitch), math.sin(mount.pitch)
    ahead, left = cos - v / mount.focal_px * sin, -u / mount.focal_px
    up = -(sin + v / mount.focal_px * cos)
    yaw_cos, yaw_sin = math.cos(CAR[2]), math.sin(CAR[2])
    ray = np.array([yaw_cos * ahead - yaw_sin * left, yaw_sin * ahead + yaw_cos * left, up])
    lens = np.array([CAR[0] + yaw_cos * mount.x, CAR[1] + yaw_sin * mount.x, mount.z])
    best, level = math.inf, None
    for m, (x, y, yaw) in enumerate(poses):
        turn = np.array([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        origin, direction = turn @ (lens - [x, y, 0.0]), turn @ ray
        for p in range(looks.parts.first[m], looks.parts.first[m + 1]):
            offset, length, width, low, high = looks.parts.shape[p]
            lower = np.array([offset - length / 2, -width / 2, low])
            upper = np.array([offset + length / 2, width / 2, high])
            enter, leave, axis = -math.inf, math.inf, 0
            for k in range(3):
                near, far = sorted(((lower[k] - origin[k]) / direction[k], (upper[k] - origin[k]) / direction[k]))
                if near > enter:
                    enter, axis = near, k
                leave = min(leave, far)
            if 0.0 < enter < leave and enter < best:
                best = enter
                light = TOP_LIGHT if direction[2] < 0 else BOTTOM_LIGHT
                if axis < 2:
                    normal = yaw + (0.0 if axis == 0 else math.pi / 2)
                    facing = -math.copysign(1.0, direction[axis])
                    light = SIDE_LIGHT + SIDE_SPREAD * facing * math.cos(normal - SUN)
                level = light * float(looks.gray[p, 0])
    return level


@pytest.mark.parametrize("scene", SCENES)
def test_pixels_show_what_their_rays_hit(scene: str, vehicle: Vehicle) -> None:
    mount = vehicle.camera
    kinds, poses = placed(scene)
    looks = solids(kinds)
    camera = Camera(mount, mount.width_px, mount.height_px)
    background = np.full((mount.height_px, mount.width_px), 200, np.uint8)
    image = draw(camera, background, looks, poses)
    compared = 0
    for row in range(1, mount.height_px, 4):
        for column in range(0, mount.width_px, 5):
            u, v = column - 0.5 * mount.width_px, row - 0.5 * mount.height_px
            corners = [cast(vehicle, looks, poses, u + a, v + b) for a, b in ((0.01, 0.01), (0.99, 0.01), (0.99, 0.99))]
            corners += [cast(vehicle, looks, poses, u + 0.01, v + 0.99), cast(vehicle, looks, poses, u + 0.5, v + 0.5)]
            if len(set(corners)) > 1:
                continue  # an edge goes through the pixel
            expected = 200.0 if corners[0] is None else corners[0]
            assert abs(float(image[row, column]) - expected) <= 1.0, (row, column)
            compared += 1
    assert compared > 700


def test_in_a_crowd_the_nearest_thing_is_seen(vehicle: Vehicle) -> None:
    # Things that do not hide each other must not upset the order of those that do.
    mount = vehicle.camera
    camera = Camera(mount, mount.width_px, mount.height_px)
    random = np.random.default_rng(0)
    compared = 0
    for scene in range(12):
        poses: list[tuple[float, float, float]] = []
        while len(poses) < 6:
            pose = (random.uniform(0.6, 2.0), random.uniform(-0.5, 0.5), random.uniform(-math.pi, math.pi))
            if not any(overlap(*pose, 0.4, 0.3, *other, 0.4, 0.3) for other in poses):
                poses.append(pose)
        # Sides are bright by 0.49 to 0.83, tops by 1: levels that tell the boxes apart.
        levels = [3.0, 7.0, 16.0, 36.0, 80.0, 180.0]
        looks = solids([replace(BOX, parts=((*BOX.parts[0][:5], level, level, level),)) for level in levels])
        there = world_poses(poses)
        image = draw(camera, np.full((mount.height_px, mount.width_px), 255, np.uint8), looks, there)
        for row in range(20, 100, 12):
            for column in range(3, mount.width_px, 20):
                u, v = column - 0.5 * mount.width_px, row - 0.5 * mount.height_px
                inside = [(a, b) for a in (0.01, 0.99) for b in (0.01, 0.99)]
                hits = [cast(vehicle, looks, there, u + a, v + b) for a, b in inside]
                if hits[0] is not None and len(set(hits)) == 1:
                    assert abs(float(image[row, column]) - hits[0]) <= 1.0, (scene, row, column)
                    compared += 1
    assert compared > 200


def test_an_edge_shows_by_the_area_it_covers(vehicle: Vehicle) -> None:
    # A wall whose vertical edge is seen 10.25 px right of the image's left edge.
    mount = vehicle.camera
    camera = Camera(mount, mount.width_px, mount.height_px)
    row, ahead = 27, 2.0
    v, u = row + 0.5 - 0.5 * mount.height_px, 10.25 - 0.5 * mount.width_px
    y = -u / mount.focal_px * ahead / (math.cos(mount.pitch) - v / mount.focal_px * math.sin(mount.pitch))
    wall = ObjectKind("wall", 0.002, 4.0, 0.4, 0.002, 4.0, 0.0, ((0.0, 0.002, 4.0, 0.0, 0.4, 100.0, 100.0, 100.0),))
    cos, sin = math.cos(CAR[2]), math.sin(CAR[2])
    x_local, y_local = mount.x + ahead + 0.001, y - 2.0
    pose = (CAR[0] + cos * x_local - sin * y_local, CAR[1] + sin * x_local + cos * y_local, CAR[2])
    image = draw(camera, np.zeros((mount.height_px, mount.width_px), np.uint8), solids([wall]), np.array([pose]))
    full = float(image[row, 30])
    assert full > 40.0
    assert image[row, 9] == 0
    assert image[row, 10] == pytest.approx(0.75 * full, abs=1.5)
    assert image[row, 11] == pytest.approx(full, abs=1.0)


def test_small_images_show_what_reduced_ones_do(vehicle: Vehicle, world: World) -> None:
    spec = ObservationSpec(width=40, height=24, crop_top=0.2)
    mount = vehicle.camera
    full, small = Camera(mount, mount.width_px, mount.height_px), Camera(mount, 40, 24, 0.2)
    for scene in SCENES:
        kinds, poses = placed(scene)
        looks = solids(kinds)
        large_image = np.empty((1, mount.height_px, mount.width_px), np.uint8)
        small_image = np.empty((1, 24, 40), np.uint8)
        full.render_gray(world, CAR[None], large_image, 0, 1)
        small.render_gray(world, CAR[None], small_image, 0, 1)
        seen = observe(draw(full, large_image[0], looks, poses), spec)[..., 0].astype(float)
        direct = draw(small, small_image[0], looks, poses).astype(float)
        assert np.abs(seen - direct).mean() < 2.0, scene
        assert (np.abs(seen - direct) > 12.0).mean() < 0.02, scene


def test_grey_and_colour_agree(vehicle: Vehicle) -> None:
    mount = vehicle.camera
    camera = Camera(mount, mount.width_px, mount.height_px)
    kinds, poses = placed("six of them")
    looks, there = solids(kinds), np.ones(6, np.bool_)
    gray = draw(camera, np.full((mount.height_px, mount.width_px), 128, np.uint8), looks, poses)
    rgb = np.full((mount.height_px, mount.width_px, 3), 128, np.uint8)
    camera.draw_rgb(looks, CAR, poses, there, rgb)
    assert np.abs(rgb @ [0.299, 0.587, 0.114] - gray).max() < 1.6


def test_what_is_not_there_is_not_drawn(vehicle: Vehicle) -> None:
    mount = vehicle.camera
    camera = Camera(mount, mount.width_px, mount.height_px)
    kinds, poses = placed("the near box hides the far one")
    both = np.full((1, mount.height_px, mount.width_px), 10, np.uint8)
    camera.draw_gray(solids(kinds), CAR[None], poses[None], np.array([[False, True]]), both, 0, 1)
    far = draw(camera, np.full((mount.height_px, mount.width_px), 10, np.uint8), solids(kinds[1:]), poses[1:])
    np.testing.assert_array_equal(both[0], far)
    assert (far != 10).any()
