"""What computes a graph: onnxruntime's own CPU kernels, or XNNPACK (Arm) or OpenVINO (Intel) where they are installed.

The wheel `onnxruntime` has the CPU kernels only; `onnxruntime-openvino` and builds with XNNPACK bring the others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import onnxruntime

from deepracer_inference.config import nearest
from deepracer_inference.errors import DeepRacerError, UserError

CPU, XNNPACK, OPENVINO, AUTO = "cpu", "xnnpack", "openvino", "auto"
_NAMES = {OPENVINO: "OpenVINOExecutionProvider", XNNPACK: "XnnpackExecutionProvider", CPU: "CPUExecutionProvider"}
"""Ours to onnxruntime's."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


def available_providers() -> list[str]:
    """Return the providers of this machine's onnxruntime; `cpu` is always there, and the last."""
    installed = onnxruntime.get_available_providers()
    return [name for name, theirs in _NAMES.items() if theirs in installed]


def spare_threads() -> int:
    """Return how many threads a graph may use here: all processors but one, which camera and drive need."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def choose(wanted: str, make: Callable[[str], T], cost: Callable[[T], float]) -> tuple[str, T]:
    """Open a graph with a provider: the wanted one, or for `auto` the fastest of those that can run it.

    Args:
        wanted: One of ours, or `auto`.
        make: Opens the graph with a provider.
        cost: Tells how long one run takes (s). A small network is often slower with a specialised provider, whose
            calls cost more than they save.

    Raises:
        UserError: The provider is unknown, not installed, or fails.
    """
    available = available_providers()
    if wanted == AUTO:
        candidates: list[tuple[float, str, T]] = []
        for name in available:
            try:
                graph = make(name)
                candidates.append((cost(graph) if len(available) > 1 else 0.0, name, graph))
            except DeepRacerError as error:
                if name == CPU:
                    raise
                logger.warning("The provider %s cannot be used: %s", name, error)
        _, name, graph = min(candidates, key=lambda candidate: candidate[0])
        return name, graph
    if wanted not in _NAMES:
        raise UserError(f"There is no execution provider {wanted!r}; {nearest(wanted, [*_NAMES, AUTO])}")
    if wanted not in available:
        raise UserError(
            f"The execution provider {wanted} is not installed; this machine's onnxruntime has: {', '.join(available)}"
        )
    return wanted, make(wanted)


def session_threads(provider: str, threads: int) -> int:
    """Return the threads of onnxruntime's own pool; the others have one of their own, and two would fight."""
    return threads if provider == CPU else 1


def provider_options(provider: str, threads: int) -> list[Any]:
    """Return what `InferenceSession` takes as `providers`."""
    options: dict[str, dict[str, str]] = {
        XNNPACK: {"intra_op_num_threads": str(threads)},
        OPENVINO: {"device_type": "CPU", "num_of_threads": str(threads)},
    }
    return [(_NAMES[provider], options.get(provider, {}))]


def check_provider(used: Sequence[str], provider: str, source: str) -> None:
    """Refuse a session that has fallen back to the CPU in silence.

    Raises:
        UserError: The session does not use the provider.
    """
    if _NAMES[provider] not in used:
        raise UserError(f"{source} cannot be run by {provider}; onnxruntime used {', '.join(used)} instead")
