"""Gazebo's world of a track, against the embedded camera's world."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.camera.ground import COLORS, area_around, paint_ground
from deepracer_sim.camera.panorama import PANORAMA_SHAPE, PANORAMA_TEXEL, Z_MIN, paint_panorama
from deepracer_sim.gazebo.meshes import flat_mesh, horizon_mesh, to_obj, track_parts
from deepracer_sim.gazebo.world import SURFACES, write_world
from deepracer_sim.tracks.library import load_track
from deepracer_sim.tracks.track import Track

PARTS = ("road", "border", "dashes")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ElementTree.Element:
    files = write_world(load_track("bowtie"), tmp_path_factory.mktemp("worlds"))
    element = ElementTree.parse(files.sdf).getroot().find("world")
    assert element is not None
    return element


def test_the_parts_are_where_the_camera_sees_them() -> None:
    track = load_track("bowtie")
    area = area_around(track, 0.005, multiple=1)
    picture = paint_ground(track, area, seed=0).astype(np.float64)
    # The nearest of the four colours tells the surface of a texel; its noise is far less than their distances.
    seen = np.argmin(np.linalg.norm(picture[:, :, None, :] - COLORS, axis=3), axis=2)
    parts = track_parts(track)
    rng = np.random.default_rng(1)
    places = np.column_stack([rng.integers(0, each, 20_000) for each in area.shape])
    points = shapely.points(area.x0 + places[:, 1] * area.texel, area.y0 + places[:, 0] * area.texel)
    clear = np.ones(len(points), np.bool_)
    expected = np.zeros(len(points), np.int64)
    for surface, part in enumerate(PARTS, start=1):
        expected[shapely.contains(parts[part], points)] = surface
        clear &= shapely.distance(parts[part].boundary, points) > 1.5 * area.texel
    assert set(expected[clear]) == {0, 1, 2, 3}
    np.testing.assert_array_equal(seen[places[:, 0], places[:, 1]][clear], expected[clear])


@pytest.mark.parametrize("name", ["bowtie", "teardrop"])
def test_the_parts_make_up_the_road_without_gap_or_overlap(name: str) -> None:
    track = load_track(name)
    parts = track_parts(track)
    road = shapely.Polygon(track.outer).symmetric_difference(shapely.Polygon(track.inner))
    assert sum(part.area for part in parts.values()) == pytest.approx(road.area, rel=1e-4)
    assert shapely.union_all(list(parts.values())).symmetric_difference(road).area < 1e-3 * road.area
    # 0.2 m of dash and 0.2 m of gap, 2.5 cm wide, and a border of 5 cm along both edges.
    assert parts["dashes"].area == pytest.approx(0.5 * track.length * 0.025, rel=0.01)
    edges = sum(shapely.LinearRing(ring).length for ring in (track.inner, track.outer))
    assert parts["border"].area == pytest.approx(0.05 * edges, rel=0.03)


def test_triangles_face_up_and_cover_the_part() -> None:
    area = track_parts(load_track("teardrop"))["road"]
    mesh = flat_mesh(area)
    a, b, c = (mesh.vertices[mesh.triangles[:, k], :2] for k in range(3))
    doubled = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert doubled.min() > -1e-9
    assert 0.5 * doubled.sum() == pytest.approx(area.area, rel=1e-4)


def test_a_track_that_crosses_its_own_border_still_makes_a_mesh() -> None:
    # The inner border of AWS's files loops where a bend is tighter than the road is wide.
    track = load_track("teardrop")
    knotted = track.inner.copy()
    knotted[[10, 11]] = knotted[[11, 10]]
    parts = track_parts(Track("knot", track.center, knotted, track.outer))
    assert all(len(flat_mesh(part).triangles) for part in parts.values())


def test_an_obj_file_holds_what_the_meshes_hold() -> None:
    meshes = {"one": flat_mesh(shapely.box(0, 0, 2, 1)), "two": horizon_mesh(0.1)}
    text = to_obj(meshes)
    vertices = np.array([line.split()[1:] for line in text.splitlines() if line.startswith("v ")], np.float64)
    np.testing.assert_allclose(vertices, np.concatenate([mesh.vertices for mesh in meshes.values()]), atol=1e-3)
    names = re.findall(r"^o (\w+)$", text, re.MULTILINE)
    assert names == ["one", "two"]
    faces = [[[int(n or 0) for n in corner.split("/")] for corner in line.split()[1:]]
             for line in text.splitlines() if line.startswith("f ")]  # fmt: skip
    assert len(faces) == sum(len(mesh.triangles) for mesh in meshes.values())
    # Indices count from 1 over the whole file; the first object has four corners and one normal, and no texture.
    assert {corner[0] for face in faces[:2] for corner in face} == {1, 2, 3, 4}
    assert {corner[1] for face in faces[:2] for corner in face} == {0}
    assert min(corner[0] for face in faces[2:] for corner in face) == 5
    assert min(corner[1] for face in faces[2:] for corner in face) == 1
    assert min(corner[2] for face in faces[2:] for corner in face) == 2
    assert "-0 " not in text


def test_the_horizon_shows_the_panorama_where_the_camera_sees_it(tmp_path: Path) -> None:
    camera_z = load_vehicle("deepracer").camera.z
    mesh = horizon_mesh(camera_z)
    assert mesh.texture is not None
    picture = np.asarray(cv2.imread(str(write_world(load_track("oval"), tmp_path).picture)))[:, :, ::-1].astype(int)
    panorama = paint_panorama(0).astype(int)
    for azimuth, elevation in ((0.3, 0.03), (2.0, 0.2), (4.4, 0.5), (6.2, 0.01)):
        hit, texture = _hit(mesh.vertices, mesh.triangles, mesh.texture, azimuth, elevation, camera_z)
        assert hit > 300.0, "far away"
        row = round((1.0 - texture[1]) * PANORAMA_SHAPE[0] - 0.5)
        column = round(texture[0] * PANORAMA_SHAPE[1] - 0.5)
        expected_row = round((elevation - Z_MIN) / PANORAMA_TEXEL - 0.5)
        expected_column = round(azimuth / PANORAMA_TEXEL - 0.5)
        assert abs(column - expected_column) <= 1
        assert abs(row - (PANORAMA_SHAPE[0] - 1 - expected_row)) <= 1
        assert np.abs(picture[row, column] - panorama[PANORAMA_SHAPE[0] - 1 - row, column]).max() == 0


def _hit(
    vertices: NDArray[np.float64],
    triangles: NDArray[np.int64],
    texture: NDArray[np.float64],
    azimuth: float,
    elevation: float,
    z: float,
) -> tuple[float, NDArray[np.float64]]:
    """Follow a ray to the triangle that it meets from the front; returns the distance and the place in the picture."""
    ray = np.array([math.cos(azimuth), math.sin(azimuth), elevation])
    for triangle in triangles:
        a, b, c = vertices[triangle]
        if np.dot(np.cross(b - a, c - a), ray) >= 0.0:
            continue
        t, u, v = np.linalg.solve(np.column_stack([ray, a - b, a - c]), a - [0.0, 0.0, z])
        if t > 0.0 and u >= 0.0 and v >= 0.0 and u + v <= 1.0:
            return float(t), (1.0 - u - v) * texture[triangle[0]] + u * texture[triangle[1]] + v * texture[triangle[2]]
    raise AssertionError("the ray meets no triangle from its front")


def test_colours_come_out_as_the_cameras(world: ElementTree.Element) -> None:
    for part, color in [*SURFACES.items(), ("carpet", COLORS[0])]:
        (material,) = world.findall(f".//visual[@name='{part}']/material")
        light = np.array([float(each) for each in material.findtext("emissive", "").split()])[:3]
        # What a screen shows of linear light (IEC 61966-2-1).
        shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        np.testing.assert_array_equal(np.round(255.0 * shown), np.round(color))
        # Whatever light there is adds nothing.
        assert {material.findtext(light) for light in ("ambient", "diffuse", "specular")} == {"0 0 0 1"}


def test_the_step_is_a_whole_number_of_nanoseconds(world: ElementTree.Element) -> None:
    # Gazebo cuts the step off to ns; 20 of them are a control period, but for 7 ns.
    step = int(float(world.findtext("physics/max_step_size", "")) * 1e9)
    assert step == 3_333_333
    assert 20 * step == pytest.approx(load_vehicle("deepracer").control_period_ns, abs=10)
    assert world.findtext("physics/real_time_factor") == "0"


def test_the_world_has_what_lock_step_needs(world: ElementTree.Element) -> None:
    systems = {plugin.get("name", "").split("::")[-1]: plugin for plugin in world.findall("plugin")}
    assert set(systems) == {"Physics", "UserCommands", "SceneBroadcaster", "Sensors"}
    assert systems["Sensors"].findtext("render_engine") == "ogre2"
    assert world.get("name") == "deepracer"
    # The ground, and nothing else, can be hit, by every car's bit.
    (collision,) = world.findall(".//collision")
    assert collision.findtext("surface/contact/collide_bitmask") == "65535"
    assert collision.find("geometry/plane") is not None


def test_files_are_named_relative_to_the_world(tmp_path: Path) -> None:
    files = write_world(load_track("oval").renamed("a round/one"), tmp_path / "new", real_time_factor=1.0)
    root = ElementTree.parse(files.sdf).getroot()
    assert files.sdf == tmp_path / "new" / "a_round_one.sdf"
    named = {each.text for tag in ("uri", "emissive_map") for each in root.iter(tag)}
    assert named == {"a_round_one.obj", "horizon.obj", "horizon.png"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == named | {"a_round_one.sdf"}
    assert root.findtext(".//real_time_factor") == "1"
    submeshes = {each.text for each in root.findall(".//submesh/name")}
    objects = {name for file in ("a_round_one.obj", "horizon.obj")
               for name in re.findall(r"^o (\w+)$", (tmp_path / "new" / file).read_text(), re.MULTILINE)}  # fmt: skip
    assert submeshes == objects


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeepRacerError, match="Cannot make the folder"):
        write_world(load_track("oval"), tmp_path / "file")
