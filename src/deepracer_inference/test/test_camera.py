"""Frames: where they come from, which of them are fit to drive with, and that only the newest one is handed out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepracer_inference.camera.grabber import FrameCheck, Grabber, Thinning
from deepracer_inference.camera.preparation import Preparation
from deepracer_inference.camera.source import CaptureMode, FolderSource, Frame, V4l2Source, exposure_ns, open_source
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.vehicle import load_vehicle

CAMERA = load_vehicle("deepracer").camera
MODE = CaptureMode(width=640, height=480, rate_hz=1000.0)
SECOND_NS = 1_000_000_000
PATIENCE_S = 30.0


def frame(seed: int, time_ns: int = 0) -> Frame:
    return Frame(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8), time_ns)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Script:
    """A source whose frames the test hands over one by one; an exception is raised in its place."""

    def __init__(self, *, live: bool = True) -> None:
        self.live, self.closed = live, 0
        self._items: list[Frame | DeepRacerError] = []
        self._new = threading.Condition()

    def give(self, *items: Frame | DeepRacerError) -> None:
        with self._new:
            self._items += items
            self._new.notify()

    def read(self) -> Frame:
        with self._new:
            self._new.wait_for(lambda: bool(self._items), PATIENCE_S)
            item = self._items.pop(0) if self._items else DeepRacerError("the test is over")
        if isinstance(item, DeepRacerError):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1


def test_a_folder_is_an_endless_film_in_the_order_of_names(tmp_path: Path) -> None:
    for level, name in ((10, "b.png"), (200, "a.png")):
        cv2.imwrite(str(tmp_path / name), np.full((4, 4, 3), level, np.uint8))
    (tmp_path / "note.txt").write_text("no image")
    source = open_source(str(tmp_path), MODE)
    assert isinstance(source, FolderSource) and not source.live
    before = time.monotonic_ns()
    frames = [source.read() for _ in range(4)]
    assert [int(each.image[0, 0, 0]) for each in frames] == [200, 10, 200, 10]
    stamps = [each.time_ns for each in frames]
    assert before < stamps[0] < stamps[1] < stamps[2] < stamps[3] < time.monotonic_ns()


def test_recorded_frames_come_at_the_rate_of_the_camera(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    source = open_source(str(tmp_path), CaptureMode(640, 480, 50.0))
    first, *_, last = [source.read() for _ in range(6)]
    assert last.time_ns - first.time_ns >= 0.1 * SECOND_NS * 0.99, "five periods of 20 ms at least"


def test_a_video_begins_again_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (64, 48))
    for level in (20, 120, 220):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    source = open_source(str(path), MODE)
    levels = [round(float(source.read().image.mean()) / 100) for _ in range(6)]
    assert levels == [0, 1, 2, 0, 1, 2]
    source.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/dev/video77", "There is no camera /dev/video77; connected are: "),
        ("77", "There is no camera /dev/video77"),
        ("nowhere.mp4", "There is no video nowhere.mp4"),
        ("nowhere", "'nowhere' is no camera: give a number or /dev/video"),
    ],
)
def test_what_is_no_source_is_said_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(name, MODE)


def test_an_empty_folder_and_a_broken_video_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no images"):
        open_source(str(tmp_path), MODE)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="is not a video"):
        open_source(str(tmp_path / "a.mp4"), MODE)


def test_v4l2_frames_are_rgb_with_the_drivers_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    exposed = time.monotonic_ns() - 20_000_000

    class Capture:
        settings: dict[int, float] = {}  # noqa: RUF012  (one camera in this test)

        def __init__(self, device: str, backend: int) -> None:
            assert (device, backend) == ("/dev/null", cv2.CAP_V4L2)

        def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
            return True

        def set(self, key: int, value: float) -> None:
            self.settings[key] = value

        def get(self, key: int) -> float:
            assert key == cv2.CAP_PROP_POS_MSEC
            return exposed * 1e-6

        def grab(self) -> bool:
            return True

        def retrieve(self) -> tuple[bool, np.ndarray]:  # type: ignore[type-arg]
            return True, np.full((4, 4, 3), (1, 2, 3), np.uint8)

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    source = V4l2Source("/dev/null", MODE)
    assert Capture.settings[cv2.CAP_PROP_FRAME_WIDTH] == 640
    taken = source.read()
    assert taken.image[0, 0].tolist() == [3, 2, 1]
    assert abs(taken.time_ns - exposed) < 1_000


@pytest.mark.parametrize("stamp_ms", [0.0, float("nan"), 9e15, -1.0])
def test_a_stamp_that_cannot_be_true_is_replaced_by_now(stamp_ms: float) -> None:
    assert exposure_ns(stamp_ms, 5 * SECOND_NS) == 5 * SECOND_NS
    assert exposure_ns(4_980.0, 5 * SECOND_NS) == 4_980_000_000


def test_blank_and_frozen_frames_are_not_fit() -> None:
    check = FrameCheck(live=True)
    assert check.fault(Frame(np.full((8, 8), 77, np.uint8), 0)) is not None
    assert check.fault(frame(1)) is None
    assert "frozen" in str(check.fault(frame(1)))
    assert check.fault(frame(2)) is None
    film = FrameCheck(live=False)
    assert film.fault(frame(1)) is None
    assert film.fault(frame(1)) is None, "a film may stand still"


def test_the_newest_frame_is_handed_out_once() -> None:
    source = Script()
    grabber = Grabber(lambda: source, rate_hz=1000.0)
    source.give(*(frame(seed, seed * SECOND_NS) for seed in (1, 2, 3)))
    until(lambda: grabber.read == 3 and grabber.dropped == 2)
    newest = grabber.wait(PATIENCE_S)
    assert newest is not None and newest.time_ns == 3 * SECOND_NS
    assert grabber.wait(0.0) is None
    source.give(DeepRacerError("end"))
    grabber.close()


def test_faster_cameras_are_thinned_out_to_the_rate() -> None:
    source = Script()
    grabber = Grabber(lambda: source, rate_hz=15.0)
    got = []
    for index in range(1, 31):
        source.give(frame(index, SECOND_NS + index * SECOND_NS // 30))
        until(lambda index=index: grabber.read == index)  # type: ignore[misc]
        if taken := grabber.wait(0.01):
            got.append(taken.time_ns)
    gaps = np.diff(got) / SECOND_NS
    assert len(got) in (15, 16) and np.allclose(gaps, 1 / 15, atol=1e-3)
    source.give(DeepRacerError("end"))
    grabber.close()


@pytest.mark.parametrize(
    ("camera_hz", "jitter_ms", "expected_hz"),
    [
        (30.0, 3.0, 15.0),
        (30.1, 1.0, 15.05),
        (29.97, 1.0, 14.985),
        (25.0, 3.0, 12.5),
        (20.0, 3.0, 20.0),
        (15.05, 5.0, 15.05),
        (14.9, 5.0, 14.9),
        (60.2, 2.0, 15.05),
    ],
)
def test_the_rate_follows_the_cameras_own_beat_without_a_gap(
    camera_hz: float, jitter_ms: float, expected_hz: float
) -> None:
    random = np.random.default_rng(0)
    # Two minutes.
    times = np.arange(round(120 * camera_hz)) / camera_hz * 1e9
    times = times + random.uniform(-0.5e6, 0.5e6, times.size) * jitter_ms
    thinning = Thinning(15.0)
    gaps = np.diff([at for at in map(round, times) if thinning.takes(at)]) * 1e-9
    assert 1.0 / gaps.mean() == pytest.approx(expected_hz, rel=0.01)
    # drive_node stops when none has come for 85 ms.
    assert gaps.max() < 0.085


def test_a_camera_that_fails_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepracer_inference.camera.grabber.RETRY_S", 0.001)
    first, second = Script(), Script()
    sources: list[Script | None] = [first, None, second]

    def reopen() -> Script:
        source = sources.pop(0)
        if source is None:
            raise UserError("There is no camera /dev/video0")
        return source

    grabber = Grabber(reopen, rate_hz=15.0)
    first.give(DeepRacerError("The camera delivers no more images"))
    second.give(frame(5, SECOND_NS))
    taken = grabber.wait(PATIENCE_S)
    assert taken is not None and taken.time_ns == SECOND_NS
    assert first.closed == 1 and grabber.fault is None and not sources
    second.give(frame(5, 2 * SECOND_NS))
    until(lambda: grabber.unfit == 1)
    assert "frozen" in str(grabber.fault)
    second.give(DeepRacerError("end"))
    grabber.close()


def test_a_bug_in_reading_comes_out_where_frames_are_waited_for() -> None:
    class Broken(Script):
        def read(self) -> Frame:
            raise cv2.error("a bug")

    grabber = Grabber(Broken, rate_hz=15.0)
    with pytest.raises(cv2.error, match="a bug"):
        grabber.wait(PATIENCE_S)
    grabber.close()


def test_frames_are_reduced_over_areas_and_never_distorted() -> None:
    prepare = Preparation(CAMERA, None, gray=True)
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::4] = 255  # One column in four: every pixel of the result covers one of them.
    assert np.array_equal(prepare(stripes), np.full((120, 160), 64, np.uint8))
    colour = Preparation(CAMERA, None, gray=False)(stripes)
    assert colour.shape == (120, 160, 3) and colour.flags.c_contiguous
    with pytest.raises(DeepRacerError, match="1280 x 720 px, which cannot be reduced to the vehicle's 160 x 120 px"):
        prepare(np.zeros((720, 1280, 3), np.uint8))
