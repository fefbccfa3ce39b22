"""`deepracer tracks`, called as a user calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepracer_sim.tracks.library import load_track

PNG = b"\x89PNG\r\n\x1a\n"


def test_tracks_list_knows_the_library_and_ones_own(deepracer: Any, deepracer_home: Path) -> None:
    (deepracer_home / "tracks").mkdir(parents=True)
    (deepracer_home / "tracks" / "wreck.npy").write_bytes(b"nothing")
    assert deepracer("tracks", "generate", "--seed", 4, "--name", "mine").code == 0
    listed = deepracer("tracks", "list", "--json")
    assert listed.code == 0
    entries = {entry["name"]: entry for entry in listed.json}
    assert sum(entry["source"] == "library" for entry in entries.values()) >= 12
    assert entries["mine"]["source"] == "own"
    assert "wreck.npy" in entries["wreck"]["error"]
    assert "riverside" in deepracer("tracks", "list").out


def test_tracks_show_draws_a_picture(deepracer: Any, deepracer_home: Path, tmp_path: Path) -> None:
    shown = deepracer("tracks", "show", "oval_cw", "--json")
    assert shown.code == 0, shown.err
    assert shown.json["direction"] == "clockwise"
    picture = Path(shown.json["picture"])
    assert picture.is_relative_to(deepracer_home)
    assert picture.read_bytes().startswith(PNG)
    assert deepracer("tracks", "show", "oval", "-o", "oval.png").code == 0
    assert (tmp_path / "oval.png").read_bytes().startswith(PNG)
    assert deepracer("tracks", "show", "oval", "-o", "oval.jpg").code == 2


def test_an_exported_track_comes_back_bit_for_bit(deepracer: Any, tmp_path: Path) -> None:
    assert deepracer("tracks", "export", "bowtie", "out.npy").code == 0
    assert deepracer("tracks", "export", "bowtie", "out.npy").code == 2
    assert deepracer("tracks", "import", "out.npy", "--name", "copy").code == 0
    assert np.array_equal(load_track("copy").rows(), load_track("bowtie").rows())
    assert deepracer("tracks", "import", "out.npy", "--name", "copy").code == 2
    assert deepracer("tracks", "import", "out.npy", "--name", "copy", "--force").code == 0
    assert deepracer("tracks", "import", "out.npy", "--name", "bowtie").code == 2
    assert deepracer("tracks", "import", "out.npy", "--name", "../bowtie").code == 2


def test_tracks_generate_is_repeatable(deepracer: Any) -> None:
    words = ("tracks", "generate", "--seed", 11, "--length", 20, "--area", "8x6", "--json")
    first = deepracer(*words, "--name", "one")
    assert first.code == 0, first.err
    second = deepracer(*words, "--name", "two")
    assert Path(first.json["path"]).read_bytes() == Path(second.json["path"]).read_bytes()
    assert 19.0 <= first.json["length_m"] <= 21.0
    assert deepracer(*words, "--name", "one").code == 2
    assert deepracer("tracks", "generate", "--seed", 1, "--area", "8").code == 2


def spoilt_rows(kind: str) -> np.ndarray[Any, Any]:
    rows = load_track("oval").rows()
    if kind == "not_finite":
        rows[17, 3] = np.nan
    elif kind == "open_loop":
        rows = rows[: len(rows) // 2]
    elif kind == "shape":
        rows = rows[:, :4]
    elif kind == "lines_cross":
        rows[20, 2:4] = rows[20, 4:6] + (rows[20, 4:6] - rows[20, 2:4])
    return rows


@pytest.mark.parametrize("kind", ["not_finite", "open_loop", "shape", "lines_cross"])
def test_tracks_check_explains_a_bad_file(deepracer: Any, tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "bad.npy", spoilt_rows(kind))
    checked = deepracer("tracks", "check", "bad.npy", "--json")
    assert checked.code == 2
    assert checked.json["ok"] is False
    assert kind in [problem["code"] for problem in checked.json["problems"] if problem["severity"] == "error"]
    assert deepracer("tracks", "check", "bad.npy").code == 2
    assert deepracer("tracks", "import", "bad.npy").code == 2
    assert deepracer("tracks", "list", "--json").json


def test_tracks_check_is_content_with_the_library(deepracer: Any) -> None:
    checked = deepracer("tracks", "check", "riverside", "--json")
    assert checked.code == 0
    assert checked.json["ok"] is True


def test_real_tracks_of_aws_can_be_imported(deepracer: Any) -> None:
    folder = Path(__file__).resolve().parents[4].parent / "shared" / "tracks"
    if not folder.is_dir():
        pytest.skip("needs the shared folder of real track files")
    file = folder / "reInvent2019_wide_cw.npy"
    result = deepracer("tracks", "import", file, "--json")
    assert result.code == 0, result.err
    assert deepracer("create", "first", "--track", result.json["name"]).code == 0


def test_world_prints_the_path_that_gazebo_is_started_with(
    deepracer: Any, deepracer_home: Path, tmp_path: Path
) -> None:
    written = deepracer("world", "bean_cw")
    assert written.code == 0, written.err
    path = Path(written.out.removesuffix("\n"))
    assert path == deepracer_home / "worlds" / "bean_cw.sdf"
    assert "<sdf" in path.read_text()
    files = deepracer("world", "bean", "-o", "there", "--real-time-factor", 1, "--json").json
    assert set(files) == {"sdf", "track", "horizon", "picture"}
    assert all(Path(file).parent == tmp_path / "there" and Path(file).is_file() for file in files.values())
    assert "<real_time_factor>1<" in Path(files["sdf"]).read_text()
    unknown = deepracer("world", "baen")
    assert unknown.code == 2
    assert "bean" in unknown.err
