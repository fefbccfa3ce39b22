"""Takes frames as fast as they come and keeps the newest one; what is not fit to drive with is sorted out here."""

from __future__ import annotations

import math
import statistics
import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from deepracer_inference.camera.source import Frame, FrameSource
from deepracer_inference.errors import DeepRacerError

BLANK_RANGE = 4
"""Grey levels between the darkest and the brightest pixel; a covered lens shows more than that as noise."""
RETRY_S = 1.0
LOOK_BACK = 5
"""Frames that tell how often the camera delivers."""


class FrameCheck:
    """Says why a frame is not fit to drive with."""

    def __init__(self, live: bool) -> None:
        """Begin.

        Args:
            live: Whether two equal frames in a row mean that the camera is frozen.
        """
        self._live = live
        self._last: bytes | None = None

    def fault(self, frame: Frame) -> str | None:
        """Return what is wrong with the frame that follows the one of the last call."""
        image = frame.image
        if int(np.ptp(image)) < BLANK_RANGE:
            return "the image is blank; is the lens covered, or the camera's cable loose?"
        if self._live:
            last, self._last = self._last, image.tobytes()
            if last == self._last:
                return "the image is the same as before, bit by bit: the camera is frozen"
        return None


class Thinning:
    """Chooses frames at a rate, in the camera's own beat: of 30.1 Hz every second one, and never are two left out.

    A schedule of its own would drift against the camera's and miss a frame every few seconds; drive_node would stop.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = 1e9 / rate_hz
        self._seen_ns: int | None = None
        self._taken_ns = -math.inf
        self._intervals: deque[int] = deque(maxlen=LOOK_BACK)

    def takes(self, time_ns: int) -> bool:
        """Return whether this frame is nearer to the time at which one is due than the next frame will be."""
        if self._seen_ns is not None:
            self._intervals.append(time_ns - self._seen_ns)
        self._seen_ns = time_ns
        early = self._taken_ns + self._period_ns - time_ns
        if self._intervals and early > statistics.median(self._intervals) / 2:
            return False
        self._taken_ns = time_ns
        return True


class Grabber:
    """A thread that reads a source; `wait` hands out the newest fit frame, and never the same one twice.

    When the source fails, it is opened again every second.
    """

    def __init__(self, reopen: Callable[[], FrameSource], rate_hz: float) -> None:
        """Open the source and begin.

        Args:
            reopen: Opens the source; called at once, and after every failure.
            rate_hz: Frames beyond this rate are skipped.

        Raises:
            UserError: The source cannot be opened.
        """
        self._reopen, self._source = reopen, reopen()
        self._rate_hz = rate_hz
        self.read = self.dropped = self.unfit = 0
        """Frames that came; of them those that nobody fetched in time, and those that are not fit to drive with."""
        self.fault: str | None = None
        """What is wrong now."""
        self._frame: Frame | None = None
        self._new = threading.Condition()
        self._closed = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._guarded, name="camera", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> Frame | None:
        """Return the newest frame once, or None if no new one comes in time.

        An exception of the thread that is no `DeepRacerError`, and so a bug, comes out here.
        """
        with self._new:
            self._new.wait_for(lambda: self._frame is not None or self._failure is not None, timeout_s)
            if self._failure is not None:
                raise self._failure
            frame, self._frame = self._frame, None
            return frame

    def close(self) -> None:
        """End. A driver that hangs is left behind."""
        self._closed.set()
        self._thread.join(timeout=1.0)

    def _guarded(self) -> None:
        try:
            self._work()
        except Exception as error:
            with self._new:
                self._failure = error
                self._new.notify()

    def _work(self) -> None:
        check, thinning = FrameCheck(self._source.live), Thinning(self._rate_hz)
        while not self._closed.is_set():
            try:
                frame = self._source.read()
            except DeepRacerError as error:
                self.fault = str(error)
                self._source.close()
                if not self._open_again():
                    return
                check = FrameCheck(self._source.live)
                continue
            self.read += 1
            if not thinning.takes(frame.time_ns):
                continue
            self.fault = check.fault(frame)
            if self.fault:
                self.unfit += 1
                continue
            with self._new:
                self.dropped += self._frame is not None
                self._frame = frame
                self._new.notify()
        self._source.close()

    def _open_again(self) -> bool:
        while not self._closed.wait(RETRY_S):
            try:
                self._source = self._reopen()
                return True
            except DeepRacerError as error:
                self.fault = str(error)
        return False
