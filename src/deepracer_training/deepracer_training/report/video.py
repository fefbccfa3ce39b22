"""The film of an evaluation: what the camera saw, where the car was, and how fast, in real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepracer_inference.errors import DeepRacerError
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_training.report import style
from deepracer_training.report.top_view import TopView

if TYPE_CHECKING:
    from deepracer_sim.embedded import EmbeddedSimulator
    from deepracer_training.laps import LapRecord
    from deepracer_training.traces import TraceRow

Image = NDArray[np.uint8]

MAP_PX = 640
CAMERA_PX = (640, 480)
PANEL_PX = (640, 160)
MAX_S = 30.0
"""A lap that begins before this is shown to its end, unless the film would get more than twice as long."""
HOLD_S = 1.0
"""How long the last picture of a lap stays."""

BT601 = 6
"""OpenCV's colour matrix, ITU-R BT.601, in the numbering of ITU-T H.273, which FFmpeg uses."""

PANEL, TRACK_BAR, TEXT, FAINT = "#171e26", "#2b3541", "#f2f5f8", "#93a0ae"


def write_video(
    path: Path,
    records: Sequence[LapRecord],
    simulator: EmbeddedSimulator,
    title: str,
    on_step: Callable[[float], None] | None = None,
) -> None:
    """Film the first laps as H.264 in MP4, playable while it loads.

    Args:
        path: Where the file goes.
        records: Laps of an evaluation, at least one.
        simulator: Renders the camera; its first car is moved.
        title: Shown in the picture.
        on_step: Called now and then with the share that is done, 0 to 1.

    Raises:
        DeepRacerError: The file cannot be written, or this installation of PyAV has no H.264 encoder.
    """
    import av

    shown = list(_chosen(records, simulator.period_ns * 1e-9))
    total = sum(len(record.poses) for _, record in shown)
    rate = Fraction(10**9, simulator.period_ns).limit_denominator(1000)
    done = 0
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=rate, options={"crf": "24", "preset": "ultrafast"})
            # 3 ms a frame instead of 10 with `veryfast`, at the same size for a little less sharpness.
            stream.width, stream.height = CAMERA_PX[0] + MAP_PX, MAP_PX
            stream.pix_fmt = "yuv420p"
            # Untagged, players guess the colour matrix from the picture size, and guess differently.
            for name in ("colorspace", "color_primaries", "color_trc"):
                setattr(stream.codec_context, name, BT601)
            for image in _frames(shown, simulator, title):
                # Four times as fast as FFmpeg's own conversion.
                planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
                done += 1
                if on_step is not None:
                    on_step(min(done / total, 1.0))
            container.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise DeepRacerError(f"Cannot write the video {path}: {error.strerror}") from error


def _chosen(records: Sequence[LapRecord], period_s: float) -> Iterator[tuple[int, LapRecord]]:
    """Yield the number and record of the laps to show."""
    used = 0.0
    for number, record in enumerate(records, 1):
        length = len(record.poses) * period_s
        if number > 1 and (used >= MAX_S or used + length > 2 * MAX_S):
            return
        yield number, record
        used += length + HOLD_S


def _frames(shown: Sequence[tuple[int, LapRecord]], simulator: EmbeddedSimulator, title: str) -> Iterator[Image]:
    view = TopView(simulator.track, simulator.vehicle.geometry, MAP_PX, MAP_PX)
    panel = _Panel(title)
    slow, fast = style.speed_range([speed for _, record in shown for speed in record.speeds])
    hold = round(HOLD_S * 1e9 / simulator.period_ns)
    car = np.array([0])
    for number, record in shown:
        view.clear()
        last: tuple[float, float] | None = None
        canvas = np.empty((MAP_PX, CAMERA_PX[0] + MAP_PX, 3), np.uint8)
        objects = simulator.objects
        for step, (pose, speed, row) in enumerate(zip(record.poses, record.speeds, record.rows, strict=True)):
            if objects is not None:
                objects.poses[0] = record.objects[step]
            simulator.reset(car, np.array([pose]))
            frame = simulator.frame_rgb(0)
            carried = row.status == EpisodeStatus.PAUSE.value
            if last is not None and not carried:
                view.drive(last, pose[:2], (speed - slow) / (fast - slow))
            last = None if carried else pose[:2]
            # Nearest neighbour: the viewer sees the pixels that the network gets.
            canvas[: CAMERA_PX[1], : CAMERA_PX[0]] = cv2.resize(frame, CAMERA_PX, interpolation=cv2.INTER_NEAREST)
            canvas[CAMERA_PX[1] :, : CAMERA_PX[0]] = panel.draw(number, record, row, speed, fast)
            around = (objects.poses[0], objects.kinds) if objects is not None else ()
            canvas[:, CAMERA_PX[0] :] = view.with_car(pose, *around)
            yield canvas
        for _ in range(hold):
            yield canvas


class _Panel:
    """The instruments below the camera picture."""

    def __init__(self, title: str) -> None:
        from matplotlib import get_data_path
        from PIL import ImageFont

        # matplotlib brings DejaVu Sans along; OpenCV's own strokes look like a plotter's.
        fonts = Path(get_data_path(), "fonts", "ttf")
        self._small = ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), 15)
        self._large = ImageFont.truetype(str(fonts / "DejaVuSansMono-Bold.ttf"), 30)
        self._title = title

    def draw(self, number: int, record: LapRecord, row: TraceRow, speed: float, fast: float) -> Image:
        from PIL import Image as Picture
        from PIL import ImageDraw

        picture = Picture.new("RGB", PANEL_PX, style.rgb(PANEL))
        draw = ImageDraw.Draw(picture)
        time_s, text, color = row.time_s, _status_text(row), style.RED if row.done else style.ORANGE
        if row.done and record.lap_time_s is not None:
            time_s, text, color = record.lap_time_s, "lap complete", style.GREEN
        draw.text((20, 12), self._title, font=self._small, fill=FAINT)
        draw.text((PANEL_PX[0] - 20, 12), text, font=self._small, fill=color, anchor="ra")
        for x, label, value in (
            (20, "lap", f"{number}"),
            (110, "time", f"{time_s:.2f} s"),
            (320, "speed", f"{speed:.2f} m/s"),
            (510, "progress", f"{row.progress:.0f} %"),
        ):
            draw.text((x, 46), label, font=self._small, fill=FAINT)
            draw.text((x, 66), value, font=self._large, fill=TEXT)
        self._bar(draw, 118, row.progress / 100.0, style.GREEN)
        self._bar(draw, 134, speed / fast, style.BLUE)
        return np.asarray(picture)

    @staticmethod
    def _bar(draw: Any, y: int, share: float, color: str) -> None:
        left, right = 20, PANEL_PX[0] - 20
        draw.rounded_rectangle((left, y, right, y + 8), 4, fill=TRACK_BAR)
        end = left + (right - left) * min(max(share, 0.0), 1.0)
        if end - left >= 8:
            draw.rounded_rectangle((left, y, end, y + 8), 4, fill=color)


_ALARMS = {status.value for status in EpisodeStatus} - {"prepare", "in_progress", "lap_complete"}


def _status_text(row: TraceRow) -> str:
    if row.status == EpisodeStatus.PAUSE.value:
        return f"penalty {max(row.pause_s, 0.0):.1f} s"
    return "" if row.status not in _ALARMS else row.status.replace("_", " ")
