"""A loaded policy at work: images in, steering angle and speed out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.graph import INPUT, Graph
from deepracer_inference.observation import observe
from deepracer_inference.policy_file import GRAPH, PolicyFile
from deepracer_inference.providers import CPU, choose, spare_threads

_TIMED_RUNS = 30
"""For a median; the first few are slow."""

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Command:
    """What the policy wants N cars to do during the next control period."""

    steering_angle: Float32Array
    """(N,) rad, + = left."""
    speed: Float32Array
    """(N,) m/s."""
    probabilities: Float32Array | None
    """(N, n) for n discrete actions; None for a continuous action space."""


class OnnxPolicy:
    """Drives with a policy file through onnxruntime, in the simulator and on the car alike.

    The graph holds everything after the observation: scaling, network, and the choice of the best action. With one
    thread, equal batches give bit-identical commands on one machine.
    """

    def __init__(self, policy: PolicyFile, threads: int = 1, provider: str = CPU) -> None:
        """Open the graph.

        Args:
            policy: From `load_policy`.
            threads: Threads within one call of `act`; 0 = as many as this machine can spare.
            provider: What computes it: `cpu`, `xnnpack` or `openvino`; `auto` for the fastest that is installed.

        Raises:
            UserError: There is no such provider here, or it cannot run the graph.
        """
        self._policy = policy
        self._observation = policy.manifest.observation
        source = str(policy.folder / GRAPH)
        self.threads = threads or spare_threads()
        """Threads within one call of `act`."""

        def opened(name: str) -> Graph:
            return Graph(policy.onnx, source, self._observation, policy.manifest.action_space, self.threads, name)

        self.provider, self._graph = choose(provider, opened, self._run_time)

    def _run_time(self, graph: Graph) -> float:
        """Return the median time of one run with one observation (s)."""
        observation = {name: np.zeros((1, *spec.shape), spec.dtype) for name, spec in self._observation.inputs.items()}
        times = []
        for _ in range(_TIMED_RUNS):
            begin = time.perf_counter()
            graph.run(observation)
            times.append(time.perf_counter() - begin)
        return float(np.median(times))

    def act(self, observations: npt.NDArray[np.uint8] | Mapping[str, npt.NDArray[Any]]) -> Command:
        """Choose commands for a batch of observations.

        Args:
            observations: (N, H, W, 1) uint8 from `observe`, N at least 1. For a policy with other sensors than the
                front camera: one array per input, by the names of `ObservationSpec.inputs`.

        Raises:
            DeepRacerError: The observations have another shape or type, or the network returns NaN or infinity.
        """
        inputs = observations if isinstance(observations, Mapping) else {INPUT: observations}
        self._check(inputs)
        output = self._graph.run({name: np.ascontiguousarray(array) for name, array in inputs.items()})
        for name, values in output._asdict().items():
            if values is not None and not np.isfinite(values).all():
                raise DeepRacerError(
                    f"The policy {self._policy.folder} returned a {name} that is not a finite number; "
                    "its weights are broken, export an earlier checkpoint"
                )
        return Command(output.steering_angle, output.speed, output.probabilities)

    def drive(self, frame: npt.NDArray[Any]) -> Command:
        """Choose the command for one camera frame, as `act` with N = 1.

        Args:
            frame: As in `observe`: (H, W, 3) RGB or (H, W) grey, uint8.

        Raises:
            DeepRacerError: As `observe` and `act`; or the policy needs more than the front camera.
        """
        return self.act(observe(frame, self._observation)[np.newaxis])

    def _check(self, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        expected = self._observation.inputs
        if inputs.keys() != expected.keys():
            raise DeepRacerError(
                f"The policy {self._policy.folder} takes the inputs {', '.join(expected)} "
                f"({', '.join(self._observation.sensors)}), but was given {', '.join(inputs) or 'none'}"
            )
        count = len(next(iter(inputs.values())))
        for name, array in inputs.items():
            spec = expected[name]
            if array.dtype != spec.dtype or array.shape[1:] != spec.shape or len(array) != count or count == 0:
                sizes = ", ".join(map(str, spec.shape))
                called = "images have" if name == INPUT else f"input {name} has"
                raise DeepRacerError(
                    f"The {called} shape {array.shape} and type {array.dtype}, "
                    f"but the policy {self._policy.folder} expects (N, {sizes}) of type {spec.dtype}"
                )
