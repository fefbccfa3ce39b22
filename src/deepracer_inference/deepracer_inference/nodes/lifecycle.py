"""What the car's lifecycle nodes share: transitions that fail with one clear line, and a start without a manager."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from deepracer_inference.errors import DeepRacerError

SPIN_S = 0.05
SWITCH_S = 0.0005
"""Python lets another thread wait for so long; its usual 5 ms would be most of the way from image to pulse."""


class ManagedNode(LifecycleNode):
    """A lifecycle node for `process.run`; subclasses fill in `configure`, `activate`, `deactivate` and `cleanup`."""

    def __init__(self, name: str) -> None:
        super().__init__(name, automatically_declare_parameters_from_overrides=True)
        self.autostart = False
        self.stop = threading.Event()
        """Set when the node is to end: for a `configure` that waits."""
        self._error: DeepRacerError | None = None
        self._failure: BaseException | None = None
        self._configured = self._activated = False

    def configure(self) -> None:
        """Acquire everything.

        Raises:
            DeepRacerError: It cannot be had; nothing is left open.
        """

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Cease to act."""

    def cleanup(self) -> None:
        """Release what `configure` acquired."""

    def run(self, stop: threading.Event) -> None:
        """Serve transitions, services and parameters until told to stop.

        Raises:
            DeepRacerError: The start, which was to happen by itself, failed.
        """
        self.stop = stop
        sys.setswitchinterval(SWITCH_S)
        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(self)
        try:
            if self.autostart:
                for transition in (self.trigger_configure, self.trigger_activate):
                    if transition() != TransitionCallbackReturn.SUCCESS:
                        if stop.is_set():  # What it waited for does not matter any more.
                            return
                        raise self._error or DeepRacerError(f"{self.get_name()} could not be started")
                self.autostart = False  # What fails from now on ends nothing, so the log has to tell.
            while not stop.is_set():
                executor.spin_once(timeout_sec=SPIN_S)
                if self._failure:
                    raise self._failure
        finally:
            executor.shutdown(timeout_sec=0.2)

    def close(self) -> None:
        """Release everything, from whatever state."""
        self._release()
        self.destroy_node()

    def fail(self, error: BaseException) -> None:
        """Let `run` end with an error of another thread."""
        self._failure = error

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition."""
        return self._attempt(self.configure, configured=True)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition."""
        return self._attempt(self.activate, activated=True)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition."""
        return self._attempt(self.deactivate, activated=False)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition."""
        return self._attempt(self.cleanup, configured=False)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition."""
        return self._attempt(self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition."""
        return self._attempt(self._release)

    def _attempt(
        self, work: Callable[[], None], *, configured: bool | None = None, activated: bool | None = None
    ) -> TransitionCallbackReturn:
        try:
            work()
        except DeepRacerError as error:
            self._error = error
            if not self.autostart:
                self.get_logger().error(" ".join(str(error).split()))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            # rclpy would drop it without a word.
            self.fail(error)
            return TransitionCallbackReturn.ERROR
        self._configured = self._configured if configured is None else configured
        self._activated = self._activated if activated is None else activated
        return TransitionCallbackReturn.SUCCESS

    def _release(self) -> None:
        if self._activated:
            self._activated = False
            self.deactivate()
        if self._configured:
            self._configured = False
            self.cleanup()
