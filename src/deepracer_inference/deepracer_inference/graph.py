"""The ONNX graph of a policy: opened only if it is self-contained, and checked against what the manifest promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from deepracer_inference.action_space import ContinuousActionSpace, DiscreteActionSpace
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.onnx_encoding import check_self_contained
from deepracer_inference.providers import CPU, check_provider, provider_options, session_threads

Float32Array = npt.NDArray[np.float32]

INPUT = "image"
"""Of the front camera; `ObservationSpec.inputs` names all."""
OUTPUTS = ("steering_angle", "speed")
PROBABILITIES = "action_probabilities"

_TYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}

# All exceptions that onnxruntime raises for a graph that it cannot load or run.
_ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)


class GraphOutput(NamedTuple):
    """What the graph computes for N observations."""

    steering_angle: Float32Array
    """(N,) rad."""
    speed: Float32Array
    """(N,) m/s."""
    probabilities: Float32Array | None
    """(N, n) for n discrete actions."""


class Graph:
    """A policy graph, ready to run."""

    def __init__(
        self,
        onnx: bytes,
        source: str,
        observation: ObservationSpec,
        action_space: DiscreteActionSpace | ContinuousActionSpace,
        threads: int = 1,
        provider: str = CPU,
    ) -> None:
        """Open and check a graph.

        Args:
            onnx: The serialised ONNX model.
            source: File name for messages.
            observation: The sensors and images that the graph must take.
            action_space: The commands that it must return.
            threads: Threads within one run. With 1, equal images give bit-identical commands on one machine.
            provider: What computes it: one of `providers.available_providers()`.

        Raises:
            UserError: It is not an ONNX model, is not self-contained, does not have the promised inputs and outputs, or
                the provider cannot run it.
        """
        check_self_contained(onnx, source)
        self._source = source
        self._action_space = action_space
        self._actions = len(action_space.actions) if isinstance(action_space, DiscreteActionSpace) else None
        self._outputs = [*OUTPUTS, PROBABILITIES] if self._actions else [*OUTPUTS]
        try:
            self._session: Any = onnxruntime.InferenceSession(
                onnx,
                _session_options(session_threads(provider, threads)),
                providers=provider_options(provider, threads),
            )
        except _ORT_ERRORS as error:
            raise UserError(f"{source} cannot be loaded by onnxruntime: {_first_line(error)}") from error
        check_provider(self._session.get_providers(), provider, source)
        self._check_signature(observation)
        self._check_trial_run(observation)

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> GraphOutput:
        """Compute the commands for N observations.

        Args:
            inputs: Arrays by the names of `ObservationSpec.inputs`, such as `image`: (N, H, W, 1) uint8.

        Raises:
            DeepRacerError: onnxruntime failed.
        """
        try:
            outputs = self._session.run(self._outputs, dict(inputs))
        except _ORT_ERRORS as error:
            raise DeepRacerError(f"{self._source} failed to run: {_first_line(error)}") from error
        return GraphOutput(outputs[0], outputs[1], outputs[2] if self._actions else None)

    def _check_signature(self, observation: ObservationSpec) -> None:
        inputs = {node.name: _signature(node) for node in self._session.get_inputs()}
        outputs = {node.name: _signature(node) for node in self._session.get_outputs()}
        expected_inputs = {name: (_TYPES[spec.dtype], [None, *spec.shape]) for name, spec in observation.inputs.items()}
        expected_outputs: dict[str, Any] = {name: ("tensor(float)", [None]) for name in OUTPUTS}
        if self._actions:
            expected_outputs[PROBABILITIES] = ("tensor(float)", [None, self._actions])
        for kind, given, expected in (("input", inputs, expected_inputs), ("output", outputs, expected_outputs)):
            if given.keys() != expected.keys():
                raise UserError(
                    f"{self._source} has the {kind}s {_list(given)}, but this kind of policy has {_list(expected)}"
                )
            for name, (element, shape) in expected.items():
                if given[name][0] != element or not _fits(given[name][1], shape, exact=kind == "input"):
                    raise UserError(
                        f"{self._source}: the {kind} '{name}' is {_write(*given[name])}, "
                        f"but {_write(element, shape)} is expected"
                    )

    def _check_trial_run(self, observation: ObservationSpec) -> None:
        """Run two blank observations: graphs may declare open shapes, or command degrees where radians are promised."""
        try:
            output = self.run(
                {name: np.zeros((2, *spec.shape), spec.dtype) for name, spec in observation.inputs.items()}
            )
        except DeepRacerError as error:
            raise UserError(str(error)) from error
        expected = {"steering_angle": (2,), "speed": (2,), "probabilities": (2, self._actions)}
        for name, value in output._asdict().items():
            if value is not None and value.shape != expected[name]:
                raise UserError(
                    f"{self._source} returns {name} of shape {value.shape} for two images, "
                    f"but {expected[name]} is expected"
                )
        low, high = self._action_space.low - 1e-4, self._action_space.high + 1e-4
        for column, (name, unit) in enumerate((("steering_angle", "rad"), ("speed", "m/s"))):
            command = float(getattr(output, name)[0])
            if not low[column] <= command <= high[column]:
                raise UserError(
                    f"{self._source} commands a {name} of {command:.4g} {unit}, outside the {low[column]:.4g} to "
                    f"{high[column]:.4g} {unit} of its action space"
                )


def _session_options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # Problems are raised; its warnings on stderr would only repeat them.
    # A waiting thread must not spin: on the car, camera and drive nodes need that core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Otherwise onnxruntime also takes its own binary format, which the check below does not read.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _signature(node: Any) -> tuple[str, list[Any]]:
    return node.type, [size if isinstance(size, int) else None for size in node.shape]


def _fits(given: list[Any], expected: list[Any], *, exact: bool) -> bool:
    """Compare shapes; None is an open size. Exporters often leave the size of an output open: a trial run checks it."""
    if len(given) != len(expected):
        return False
    return all(g == e or (g is None and not exact) for g, e in zip(given, expected, strict=True))


def _write(element: str, shape: list[Any]) -> str:
    names = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
    sizes = ", ".join("N" if size is None else str(size) for size in shape)
    return f"{names.get(element, element)} ({sizes})"


def _list(names: dict[str, Any]) -> str:
    return ", ".join(sorted(names)) or "none"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
