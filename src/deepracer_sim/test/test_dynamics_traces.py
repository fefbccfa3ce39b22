"""Our car against AWS's own simulator: its logged commands must lead to its logged poses."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from deepracer_inference.vehicle import load_vehicle

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    path = ROOT / "benchmarks" / "replay_aws_traces.py"
    spec = importlib.util.spec_from_file_location("replay_aws_traces", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["a_to_z_cw_continuous_training_5", "spain_discrete_evaluation"])
def test_prediction_error_is_as_small_as_measured(replay: ModuleType, name: str) -> None:
    path = ROOT.parent / "shared" / "traces" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"AWS's step log {path.name} is not in ../shared/traces")
    vehicle = load_vehicle("deepracer")
    runs = replay.read_runs(path, vehicle.geometry.nose_offset)
    models = replay.replay(runs[:20], vehicle)[name]
    ours = models["single_track"]
    assert ours["one_step"]["position_median_m"] < 0.013
    assert ours["one_step"]["heading_median_deg"] < 1.2
    assert ours["one_second"]["position_median_m"] < 0.14
    assert ours["one_second"]["heading_median_deg"] < 6.0
    for baseline in ("kinematic", "constant_velocity"):
        assert ours["one_second"]["position_median_m"] < 0.5 * models[baseline]["one_second"]["position_median_m"]
        assert ours["one_second"]["heading_median_deg"] < 0.5 * models[baseline]["one_second"]["heading_median_deg"]
