from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepracer_inference.observation import ObservationSpec, observe
from deepracer_inference.vehicle import Camera as CameraMount
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.camera import kernels
from deepracer_sim.camera.ground import COLORS, LINE_WIDTH, area_around, paint_ground
from deepracer_sim.camera.panorama import PANORAMA_TEXEL, Z_MIN, paint_panorama
from deepracer_sim.camera.renderer import Camera
from deepracer_sim.camera.world import LEVELS, World, default_texel
from deepracer_sim.tracks import Track
from deepracer_sim.tracks.npy import read_npy

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]

MOUNT = load_vehicle("deepracer").camera
TILTED = MOUNT.model_copy(update={"y": 0.04, "pitch": 0.4, "horizontal_fov": 1.6})


@pytest.fixture(scope="module")
def square_world(square_track: Track) -> World:
    return World(square_track, texel=0.004)


@pytest.fixture(scope="module")
def stadium_world(stadium_track: Track) -> World:
    return World(stadium_track, seed=5, texel=0.004)


def random_poses(track: Track, count: int, seed: int) -> FloatArray:
    """Most roughly along the road, every third with any heading, and some of all well off the road."""
    random = np.random.default_rng(seed)
    poses = track.pose_at(random.uniform(0.0, track.length, count), random.normal(0.0, 0.5, count))
    poses[:, 2] += random.normal(0.0, 0.4, count)
    poses[::3, 2] = random.uniform(-math.pi, math.pi, len(poses[::3]))
    return poses


def render(camera: Camera, world: World, poses: FloatArray) -> ImageArray:
    out = np.zeros((len(poses), camera.height, camera.width), np.uint8)
    camera.render_gray(world, poses, out, 0, len(poses))
    return out


def projection_matrix(mount: CameraMount, pose: FloatArray, width: int, height: int) -> FloatArray:
    """K [R | t] (3, 4) of computer vision: camera axes x right, y down, z forward; pixel centres at + 0.5."""
    yaw, level, down = pose[2], math.cos(mount.pitch), math.sin(mount.pitch)
    forward = np.array([level * math.cos(yaw), level * math.sin(yaw), -down])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward])
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    place = np.array([*(pose[:2] + turn @ [mount.x, mount.y]), mount.z])
    focal = 0.5 * width / math.tan(0.5 * mount.horizontal_fov)
    intrinsics = np.array([[focal, 0.0, 0.5 * width], [0.0, focal, 0.5 * height], [0.0, 0.0, 1.0]])
    return intrinsics @ np.column_stack([rotation, -rotation @ place])


def to_pixel(matrix: FloatArray, x: float, y: float) -> FloatArray:
    u, v, w = matrix @ [x, y, 0.0, 1.0]
    assert w > 0.0
    return np.array([u, v]) / w


@pytest.mark.parametrize("mount", [MOUNT, TILTED], ids=["deepracer", "tilted"])
def test_border_line_and_its_corner_appear_where_a_pinhole_matrix_projects_them(
    mount: CameraMount, square_world: World
) -> None:
    # The car is in the lower right corner of the square road and looks at the outer corner at (4.5, -0.5).
    pose = np.array([3.75, 0.1, -0.7])
    white = Camera(mount, 640, 480).render_rgb(square_world, pose).min(axis=2) > 120
    matrix = projection_matrix(mount, pose, 640, 480)
    u, v = to_pixel(matrix, 4.5, -0.5)
    # The corner is the farthest point of the white shape around it: the highest in the image.
    corner = white[int(v) - 20 : int(v) + 20, int(u) - 20 : int(u) + 21]
    highest = int(np.flatnonzero(corner.any(axis=1))[0])
    assert highest - 20 == pytest.approx(0.0, abs=1.0)
    # A row of the image is a straight cut across a line on the ground: its white part is centred on the line's middle.
    middle = 0.5 * LINE_WIDTH
    along = np.linspace(0.1, 0.6, 400)
    rows_seen = 0
    for x, y in ((4.5 - middle + 0.0 * along, -0.5 + along), (4.5 - along, -0.5 + middle + 0.0 * along)):
        points = np.array([to_pixel(matrix, *point) for point in zip(x, y, strict=True)])
        slope = np.ptp(points[:, 0]) / np.ptp(points[:, 1])
        for row in range(math.ceil(points[:, 1].min()), math.floor(points[:, 1].max())):
            expected = np.interp(row + 0.5, points[:, 1], points[:, 0])
            left = right = int(expected)
            if not 120 < left < 520:
                continue
            assert white[row, left]
            while white[row, left - 1]:
                left -= 1
            while white[row, right + 1]:
                right += 1
            across = math.hypot(1.0, slope)
            assert 0.5 * (left + right + 1) / across == pytest.approx(expected / across, abs=1.0)
            rows_seen += 1
    assert rows_seen > 40


@pytest.mark.parametrize("mount", [MOUNT, TILTED], ids=["deepracer", "tilted"])
def test_every_pixel_shows_the_surface_that_the_inverse_pinhole_matrix_finds(
    mount: CameraMount, square_world: World
) -> None:
    for pose in (np.array([2.3, 0.1, 0.2]), np.array([3.9, 0.4, 1.2]), np.array([0.2, 3.9, -2.2])):
        image = Camera(mount, 320, 240).render_rgb(square_world, pose)
        to_ground = np.linalg.inv(projection_matrix(mount, pose, 320, 240)[:, [0, 1, 3]])
        columns, rows = np.meshgrid(np.arange(320) + 0.5, np.arange(240) + 0.5)
        x, y, w = np.tensordot(to_ground, np.stack([columns, rows, np.ones_like(rows)]), axes=1)
        distance = np.maximum(np.abs(x / w - 2.0), np.abs(y / w - 2.0))
        off_road = np.abs(distance - 2.0) > 0.5
        line = ~off_road & (np.abs(distance - 2.0) > 0.5 - LINE_WIDTH)
        surface = np.where(off_road, 0, np.where(line, 2, 1))
        # Pixels whose neighbours show the same surface, nearer than 3 m, not on the centre dashes.
        square = np.ones((3, 3), np.uint8)
        plain = cv2.erode(surface.astype(np.uint8), square) == cv2.dilate(surface.astype(np.uint8), square)
        near = (w > 0.0) & (np.hypot(x / w - pose[0], y / w - pose[1]) < 3.0)
        known = plain & near & (np.abs(distance - 2.0) > 0.03)
        difference = np.abs(image[:, :, None].astype(float) - COLORS[:3]).sum(axis=-1)
        assert known.sum() > 0.4 * known.size
        assert set(surface[known]) >= {1, 2}
        assert (np.argmin(difference, axis=-1)[known] == surface[known]).all()


def cast_rays(mount: CameraMount, world: World, pose: FloatArray, columns: FloatArray) -> FloatArray:
    """Some columns of the camera image by brute force: the mean of 8 x 8 and, far away, up to 8 x 160 rays a pixel."""
    area = area_around(world.track, world.texel, 1 << (LEVELS - 1))
    ground = cv2.cvtColor(paint_ground(world.track, area, seed=world.seed), cv2.COLOR_RGB2GRAY).astype(np.float32)
    sky = cv2.cvtColor(paint_panorama(world.seed), cv2.COLOR_RGB2GRAY).astype(np.float32)
    sky = np.concatenate([sky[:, -2:], sky, sky[:, :2]], axis=1)
    inverse = np.linalg.inv(projection_matrix(mount, pose, mount.width_px, mount.height_px)[:, :3])
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    x0 = pose[0] + cos * mount.x - sin * mount.y
    y0 = pose[1] + sin * mount.x + cos * mount.y
    image = np.zeros((mount.height_px, len(columns)))
    lateral = (columns[:, None] + (np.arange(8) + 0.5) / 8).ravel()
    horizon = 0.5 * mount.height_px - mount.focal_px * math.tan(mount.pitch)
    for row in range(mount.height_px):
        below = (row + 0.5 - horizon) / mount.focal_px
        count = int(np.clip(8.0 / max(abs(below), 1e-6), 8, 160)) if below > -0.01 else 8
        u, v = np.meshgrid(lateral, row + (np.arange(count) + 0.5) / count)
        x, y, z = np.tensordot(inverse, np.stack([u, v, np.ones_like(u)]), axes=1)
        along = mount.z / np.maximum(-z, 1e-9)
        ground_u = (x0 + along * x - area.x0) / area.texel
        ground_v = (y0 + along * y - area.y0) / area.texel
        ground_u, ground_v = (np.clip(q, -9.0, 1e4).astype(np.float32) for q in (ground_u, ground_v))
        on_ground = cv2.remap(ground, ground_u, ground_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        azimuth = np.arctan2(y, x) % (2.0 * math.pi)
        sky_u = (azimuth / PANORAMA_TEXEL + 1.5).astype(np.float32)
        sky_v = ((z / np.hypot(x, y) - Z_MIN) / PANORAMA_TEXEL - 0.5).astype(np.float32)
        in_sky = cv2.remap(sky, sky_u, sky_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        value = np.where(z < 0.0, on_ground, in_sky)
        image[row] = value.reshape(count, len(columns), 8).mean(axis=(0, 2))
    return image


def test_camera_image_is_close_to_brute_force_ray_casting(stadium_world: World) -> None:
    columns = np.arange(3, 160, 9)
    poses = random_poses(stadium_world.track, 4, seed=1)
    frames = render(Camera(MOUNT, 160, 120), stadium_world, poses).astype(float)
    for pose, frame in zip(poses, frames, strict=True):
        error = np.abs(frame[:, columns] - cast_rays(MOUNT, stadium_world, pose, columns.astype(float)))
        assert error.mean() < 0.9
        # Neither the rows around the horizon (26) nor those before the car are worse.
        assert error[22:32].mean() < 1.5
        assert error[100:].mean() < 1.2


@pytest.mark.parametrize(
    "size",
    [(40, 24, 0.2), (80, 60, 0.0), (64, 40, 0.15), (160, 120, 0.0)],
    ids=["40x24", "80x60", "64x40", "160x120"],
)
def test_rendering_at_observation_size_equals_observing_the_camera_image(
    size: tuple[int, int, float], stadium_world: World, square_world: World
) -> None:
    spec = ObservationSpec(width=size[0], height=size[1], crop_top=size[2])
    camera = Camera(MOUNT, 160, 120)
    direct = Camera(MOUNT, spec.width, spec.height, spec.crop_top)
    for world in (stadium_world, square_world):
        poses = random_poses(world.track, 30, seed=2)
        observed = np.stack([observe(frame, spec)[:, :, 0] for frame in render(camera, world, poses)])
        error = np.abs(render(direct, world, poses).astype(float) - observed)
        assert error.mean() < 1.0
        assert error.mean(axis=(1, 2)).max() < 1.6
        colored = observe(camera.render_rgb(world, poses[0]), spec)[:, :, 0]
        assert np.abs(colored.astype(float) - observed[0]).mean() < 0.5


@pytest.mark.parametrize("name", ["Albert", "reInvent2019_wide"])
def test_observations_on_real_tracks_equal_the_reduced_camera_image(name: str, shared_folder: Path) -> None:
    track = read_npy(shared_folder / "tracks" / f"{name}.npy")
    world = World(track, texel=0.008)
    spec = ObservationSpec()
    poses = random_poses(track, 40, seed=3)
    observed = np.stack([observe(frame, spec)[:, :, 0] for frame in render(Camera(MOUNT, 160, 120), world, poses)])
    error = np.abs(render(Camera(MOUNT, 40, 24, 0.2), world, poses).astype(float) - observed)
    assert error.mean() < 1.0
    assert error.mean(axis=(1, 2)).max() < 2.0


def test_gray_is_the_gray_of_the_color_image(stadium_world: World) -> None:
    camera = Camera(MOUNT, 160, 120)
    poses = random_poses(stadium_world.track, 6, seed=4)
    for pose, gray in zip(poses, render(camera, stadium_world, poses), strict=True):
        converted = cv2.cvtColor(camera.render_rgb(stadium_world, pose), cv2.COLOR_RGB2GRAY)
        error = np.abs(converted.astype(int) - gray)
        assert error.max() <= 1
        assert error.mean() < 0.4


def test_frames_do_not_depend_on_other_frames_chunks_or_threads(stadium_world: World) -> None:
    camera = Camera(MOUNT, 40, 24, 0.2)
    poses = random_poses(stadium_world.track, 20, seed=5)
    together = render(camera, stadium_world, poses)
    alone = np.concatenate([render(camera, stadium_world, pose[None]) for pose in poses])
    np.testing.assert_array_equal(together, alone)
    shared = np.full_like(together, 7)
    with ThreadPoolExecutor(2) as pool:
        for low, high in ((0, 7), (7, 18)):
            pool.submit(camera.render_gray, stadium_world, poses, shared, low, high)
    np.testing.assert_array_equal(shared[:18], together[:18])
    assert (shared[18:] == 7).all()


def test_same_seed_renders_the_same_and_another_seed_other_surroundings(stadium_world: World) -> None:
    camera = Camera(MOUNT, 160, 120)
    poses = random_poses(stadium_world.track, 2, seed=6)
    first = render(camera, stadium_world, poses)
    np.testing.assert_array_equal(render(camera, World(stadium_world.track, seed=5, texel=0.004), poses), first)
    other = render(camera, World(stadium_world.track, seed=6, texel=0.004), poses)
    assert (first[:, :26] != other[:, :26]).mean() > 0.5
    assert np.abs(first[:, 60:].astype(float) - other[:, 60:]).mean() < 15.0


def test_distant_rows_do_not_flicker_while_driving(square_world: World) -> None:
    poses = np.column_stack([1.0 + 0.01 * np.arange(40), np.zeros(40), np.zeros(40)])
    far = render(Camera(MOUNT, 160, 120), square_world, poses)[:, 27:40].astype(float)
    # What comes nearer changes steadily: second differences are flicker. Rounding to whole levels alone gives 0.4.
    assert np.abs(np.diff(far, 2, axis=0)).mean() < 1.0


def test_a_whole_turn_shows_the_same_image(stadium_world: World) -> None:
    camera = Camera(MOUNT, 160, 120)
    pose = np.array([1.0, 0.2, 0.7])
    images = render(camera, stadium_world, np.array([pose, [1.0, 0.2, 0.7 + 2.0 * math.pi]])).astype(int)
    assert np.abs(images[0] - images[1]).max() <= 1


def test_car_far_outside_sees_plain_ground_and_the_surroundings(stadium_world: World) -> None:
    camera = Camera(MOUNT, 160, 120)
    ground = int(cv2.cvtColor(COLORS[:1].astype(np.uint8)[None], cv2.COLOR_RGB2GRAY)[0, 0])
    for x in (-30.0, -1e9, 1e300):
        image = render(camera, stadium_world, np.array([[x, 1.0, math.pi if x < 0.0 else 0.0]]))[0].astype(int)
        assert np.abs(image[27:] - ground).max() <= 3
        assert image[:25].std() > 5.0


@pytest.mark.parametrize(
    ("pitch", "sees_ground", "sees_sky"), [(-0.6, False, True), (1.0, True, False), (0.0, True, True)]
)
def test_cameras_that_look_up_or_down_see_only_sky_or_ground(
    pitch: float, sees_ground: bool, sees_sky: bool, stadium_world: World
) -> None:
    mount = MOUNT.model_copy(update={"pitch": pitch})
    pose = np.array([-1.9, -1.9, 0.8])
    image = Camera(mount, 160, 120).render_rgb(stadium_world, pose).astype(float)
    green = np.abs(image - COLORS[0]).max(axis=2) < 40.0
    assert green.any() == sees_ground
    assert (~green).any() == sees_sky


def test_bilinear_interpolates_between_the_four_texels_of_a_word() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        texels = random.integers(0, 256, (2, 2))
        u, v = (int(q) for q in random.integers(0, 1 << 24, 2))
        word = np.uint32(texels[0, 0] | texels[1, 0] << 8 | texels[0, 1] << 16 | texels[1, 1] << 24)
        fu, fv = (u >> 8 & 255) / 256, (v >> 8 & 255) / 256
        expected = np.array([1 - fv, fv]) @ texels @ np.array([1 - fu, fu]) * 65536.0
        assert kernels.bilinear(word, np.int32(u), np.int32(v)) == expected


def test_impossible_images_and_poses_are_explained(stadium_world: World) -> None:
    with pytest.raises(ValueError, match="1 x 24 px"):
        Camera(MOUNT, 1, 24)
    camera = Camera(MOUNT, 40, 24, 0.2)
    poses = np.zeros((3, 3))
    with pytest.raises(ValueError, match=r"expected images \(3, 24, 40\)"):
        camera.render_gray(stadium_world, poses, np.zeros((3, 24, 41), np.uint8), 0, 3)
    poses[2, 1] = math.nan
    with pytest.raises(ValueError, match="pose of car 2 "):
        camera.render_gray(stadium_world, poses, np.zeros((3, 24, 40), np.uint8), 1, 3)


def test_texels_grow_with_the_track_to_bound_the_memory(stadium_track: Track) -> None:
    assert default_texel(stadium_track) == 0.003
    large = Track("large", *(10.0 * line for line in (stadium_track.center, stadium_track.inner, stadium_track.outer)))
    texel = default_texel(large)
    rows, columns = area_around(large, texel, 1).shape
    assert texel > 0.003
    assert rows * columns == pytest.approx(12_000_000, rel=0.01)


def test_too_fine_a_texture_is_explained(square_track: Track) -> None:
    with pytest.raises(ValueError, match=r"track 'square'.* texels long; give a larger texel"):
        World(square_track, texel=0.0002)
