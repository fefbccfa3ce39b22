"""Execution providers: what is there is used, what is not is named, and a silent way back to the CPU is noticed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from deepracer_inference import providers
from deepracer_inference.errors import UserError
from deepracer_inference.policy_file import load_policy
from deepracer_inference.runtime import OnnxPolicy

IMAGES = np.full((1, 8, 8, 1), 255, np.uint8)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Pretend to another machine: which providers are installed, and which of them work. Returns what was opened."""
    real = onnxruntime.InferenceSession

    def pretend(*installed: str, working: tuple[str, ...] = (), falls_back: bool = False) -> list[Any]:
        opened: list[Any] = []

        class Session:
            def __init__(self, onnx: bytes, options: Any, providers: list[Any]) -> None:
                opened.append((providers, options.intra_op_num_threads))
                ((self.name, _),) = providers
                if self.name not in (*working, "CPUExecutionProvider") and not falls_back:
                    raise RuntimeError("no such device")
                self.session = real(onnx, providers=["CPUExecutionProvider"])

            def get_providers(self) -> list[str]:
                return ["CPUExecutionProvider"] if falls_back else [self.name, "CPUExecutionProvider"]

            def __getattr__(self, name: str) -> Any:
                return getattr(self.session, name)

        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*installed, "CPUExecutionProvider"])
        return opened

    return pretend


def test_the_cpu_is_there_and_is_what_auto_finds_here(policy_folder: Path) -> None:
    assert "cpu" in providers.available_providers()
    policy = OnnxPolicy(load_policy(policy_folder), provider="auto")
    assert policy.provider in providers.available_providers()
    assert policy.act(IMAGES).speed.tolist() == [1.0]


def test_auto_takes_the_fastest(machine: Callable[..., list[Any]]) -> None:
    machine("OpenVINOExecutionProvider", "XnnpackExecutionProvider")
    assert providers.available_providers() == ["openvino", "xnnpack", "cpu"]
    costs = {"openvino": 3e-3, "xnnpack": 1e-3, "cpu": 2e-3}
    assert providers.choose("auto", str, costs.__getitem__) == ("xnnpack", "xnnpack")
    assert providers.choose("auto", str, lambda name: -costs[name]) == ("openvino", "openvino")


def test_a_provider_gets_the_threads_and_the_cpu_pool_gets_one(
    policy_folder: Path, machine: Callable[..., list[Any]]
) -> None:
    file = load_policy(policy_folder)
    opened = machine("OpenVINOExecutionProvider", working=("OpenVINOExecutionProvider",))
    policy = OnnxPolicy(file, threads=3, provider="openvino")
    assert policy.provider == "openvino"
    assert opened == [([("OpenVINOExecutionProvider", {"device_type": "CPU", "num_of_threads": "3"})], 1)]
    assert policy.act(IMAGES).speed.tolist() == [1.0]


def test_auto_goes_on_to_the_next_one_that_works(
    policy_folder: Path, machine: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    file = load_policy(policy_folder)
    machine("OpenVINOExecutionProvider", "XnnpackExecutionProvider", working=("XnnpackExecutionProvider",))
    with caplog.at_level(logging.WARNING):
        assert OnnxPolicy(file, provider="auto").provider in ("xnnpack", "cpu")
    assert "openvino cannot be used" in caplog.text
    machine("OpenVINOExecutionProvider")
    assert OnnxPolicy(file, provider="auto").provider == "cpu"


def test_a_provider_that_hands_over_to_the_cpu_is_refused(
    policy_folder: Path, machine: Callable[..., list[Any]]
) -> None:
    file = load_policy(policy_folder)
    machine("OpenVINOExecutionProvider", falls_back=True)
    with pytest.raises(UserError, match="cannot be run by openvino; onnxruntime used CPUExecutionProvider"):
        OnnxPolicy(file, provider="openvino")


@pytest.mark.parametrize(
    ("name", "message"),
    [("openvin", "did you mean 'openvino'"), ("xnnpack", "xnnpack is not installed; this machine's .* has: cpu")],
)
def test_a_provider_that_is_not_there_is_named(
    policy_folder: Path, machine: Callable[..., list[Any]], name: str, message: str
) -> None:
    file = load_policy(policy_folder)
    machine()
    with pytest.raises(UserError, match=message):
        OnnxPolicy(file, provider=name)


@pytest.mark.parametrize(("processors", "threads"), [({0}, 1), ({0, 1, 2, 3}, 3)])
def test_threads_leave_one_processor_to_the_others(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch, processors: set[int], threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: processors)
    assert OnnxPolicy(load_policy(policy_folder), threads=0).threads == threads
