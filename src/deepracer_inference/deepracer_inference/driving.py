"""One policy at the wheel: a frame in, a command out, and a reason whenever there is none."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.observation import observe
from deepracer_inference.policy_file import PolicyFile
from deepracer_inference.runtime import OnnxPolicy
from deepracer_inference.stages import StageTimes
from deepracer_inference.vehicle import Camera

STAGES = ("image age", "observation", "network")
WARM_UP_RUNS = 5


@dataclass(frozen=True)
class DriveCommand:
    """What the policy wants."""

    steering_angle: float
    """rad, + = left."""
    speed: float
    """m/s."""


class PolicyDriver:
    """Drives by the frames of one camera."""

    def __init__(self, policy: PolicyFile, camera: Camera, threads: int, provider: str, stages: StageTimes) -> None:
        """Open the policy and run it a few times, so that the first command takes no longer than the others.

        Args:
            policy: From `load_policy`.
            camera: Of the vehicle file; frames have its size.
            threads: Of onnxruntime; 0: as many as this machine can spare.
            provider: Execution provider, or `auto`.
            stages: Takes the times of `STAGES`.

        Raises:
            UserError: The policy cannot be opened.
            DeepRacerError: It returns NaN.
        """
        self._size = camera.height_px, camera.width_px
        self._observation = policy.manifest.observation
        self._policy = OnnxPolicy(policy, threads, provider)
        self._stages = stages
        for _ in range(WARM_UP_RUNS):
            self._policy.drive(np.zeros(self._size, np.uint8))

    def drive(self, frame: npt.NDArray[Any], exposed_s: float, arrived_s: float, timeout_s: float) -> DriveCommand:
        """Choose the command for a frame.

        Args:
            frame: (H, W, 3) RGB or (H, W) grey.
            exposed_s: Monotonic time of its exposure.
            arrived_s: Monotonic time of its arrival.
            timeout_s: Frames that were older when they arrived are refused.

        Raises:
            DeepRacerError: The frame is not fit to drive by, or the policy failed.
        """
        age = arrived_s - exposed_s
        if not 0.0 <= age <= timeout_s:
            raise DeepRacerError(
                f"the image is not from the last {1e3 * timeout_s:.0f} ms of the monotonic clock "
                f"(its stamp is {1e3 * age:.0f} ms old)"
            )
        if frame.shape[:2] != self._size:
            height, width = frame.shape[:2]
            raise DeepRacerError(
                f"the image has {width} x {height} px, but {self._size[1]} x {self._size[0]} px is the vehicle's"
            )
        begin = time.monotonic()
        observation = observe(frame, self._observation)[np.newaxis]
        observed = time.monotonic()
        command = self._policy.act(observation)
        self._stages.add("image age", age)
        self._stages.add("observation", observed - begin)
        self._stages.add("network", time.monotonic() - observed)
        return DriveCommand(float(command.steering_angle[0]), float(command.speed[0]))
