"""AWS's track files: exact round trips, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.errors import UserError
from deepracer_sim.tracks import Track, load_track
from deepracer_sim.tracks.check import check_array, errors_of
from deepracer_sim.tracks.npy import SIZE_LIMIT, read_npy, write_npy


def test_a_track_survives_writing_and_reading_bit_for_bit(tmp_path: Path) -> None:
    track = load_track("lagoon")
    write_npy(track, tmp_path / "lagoon.npy")
    back = read_npy(tmp_path / "lagoon.npy")
    assert back.name == "lagoon"
    for line in ("center", "inner", "outer"):
        assert getattr(back, line).tobytes() == getattr(track, line).tobytes()

    rows = np.load(tmp_path / "lagoon.npy", allow_pickle=False)
    assert rows.dtype == np.float64
    assert rows.shape == (len(track.center) + 1, 6)
    np.testing.assert_array_equal(rows[0], rows[-1])


def test_real_files_come_back_byte_for_byte_and_without_errors(shared_folder: Path, tmp_path: Path) -> None:
    files = sorted((shared_folder / "tracks").glob("*.npy"))
    assert len(files) >= 11
    for path in files:
        track = read_npy(path)
        write_npy(track, tmp_path / path.name)
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
        assert errors_of(check_array(np.load(path))) == []
        assert np.all(track.on_road(track.center))


@pytest.mark.parametrize(
    ("name", "length", "ccw"),
    [
        ("reinvent_base", 17.71, True),
        ("reInvent2019_wide", 16.64, True),
        ("reInvent2019_wide_cw", 16.60, False),
        ("Oval_track", 19.55, True),
        ("Bowtie_track", 17.43, True),
        ("Vegas_track", 22.55, True),
        ("Tokyo_Training_track", 22.63, True),
        ("Canada_Training", 21.74, True),
        ("2022_summit_speedway", 25.17, True),
        ("Albert", 51.39, False),
        ("Spain_track", 60.00, False),
    ],
)
def test_real_files_have_their_published_length(shared_folder: Path, name: str, length: float, ccw: bool) -> None:
    track = load_track(shared_folder / "tracks" / f"{name}.npy")
    assert track.length == pytest.approx(length, abs=0.006)
    assert track.is_ccw == ccw
    assert 0.3 < track.min_radius < 2.0


def test_width_of_a_real_track_is_the_published_one(shared_folder: Path) -> None:
    # A to Z Speedway is 42 inches wide, re:Invent 2018 30 inches.
    assert read_npy(shared_folder / "tracks" / "reInvent2019_wide.npy").width == pytest.approx(42 * 0.0254, abs=0.005)
    assert read_npy(shared_folder / "tracks" / "reinvent_base.npy").width == pytest.approx(30 * 0.0254, abs=0.005)


def test_a_closed_file_driven_backwards_is_the_same_rows_in_reverse(shared_folder: Path) -> None:
    track = read_npy(shared_folder / "tracks" / "Bowtie_track.npy")
    np.testing.assert_array_equal(track.reversed().rows(), track.rows()[::-1])
    assert track.reversed().length == pytest.approx(track.length)


def test_pickled_objects_are_refused_and_never_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (marker,))

    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="pickled"):
        read_npy(tmp_path / "trap.npy")
    assert not marker.exists()


def test_damaged_missing_and_foreign_files_are_explained(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npy"
    write_npy(load_track("oval"), whole)
    for name, content in {
        "empty": b"",
        "text": b"not numpy at all",
        "cut": whole.read_bytes()[:2000],
        "huge": whole.read_bytes().replace(b"(150, 6)", b"(9999999999999, 6)"),
    }.items():
        path = tmp_path / f"{name}.npy"
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{name}.npy is damaged or not in NumPy's"):
            read_npy(path)
    (tmp_path / "large.npy").write_bytes(b"\0" * (SIZE_LIMIT + 1))
    with pytest.raises(UserError, match="larger than 1 MiB"):
        read_npy(tmp_path / "large.npy")
    with pytest.raises(UserError, match=r"nowhere\.npy"):
        load_track(tmp_path / "nowhere.npy")
    with pytest.raises(UserError, match="folder"):
        load_track(tmp_path.rename(tmp_path.with_name("folder.npy")))


def test_a_bad_track_is_refused_with_file_reason_and_place(tmp_path: Path, stadium_track: Track) -> None:
    rows = stadium_track.rows()
    rows[17, 3] = np.nan
    np.save(tmp_path / "bad.npy", rows)
    with pytest.raises(UserError, match=r"bad\.npy: .*inner border y.*row 17"):
        read_npy(tmp_path / "bad.npy")


def test_other_numbers_and_a_missing_closing_row_are_accepted(tmp_path: Path, stadium_track: Track) -> None:
    np.save(tmp_path / "single.npy", stadium_track.rows().astype(np.float32))
    np.save(tmp_path / "unclosed.npy", stadium_track.rows()[:-1])
    np.testing.assert_allclose(read_npy(tmp_path / "single.npy").center, stadium_track.center, atol=1e-6)
    np.testing.assert_array_equal(read_npy(tmp_path / "unclosed.npy").center, stadium_track.center)
