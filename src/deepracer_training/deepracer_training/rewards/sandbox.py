"""Runs somebody's reward function in a process of its own, so that a hang or a crash stays there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepracer_training.rewards.findings import Finding
from deepracer_training.rewards.params import Params

CALL_LIMIT_S = 5.0
"""As at AWS."""
SLOW_CALL_S = 1 / 15
"""AWS's control period."""
LOAD_LIMIT_S = 30.0

Answer = dict[str, Any]
"""What `rewards.worker` writes: `index` before each call, then its `reward` or `error`; `load_error`; `end`."""


@dataclass(frozen=True)
class Calls:
    """Calls of one car on one track, in their order."""

    params: Sequence[Params]
    car: int = 0
    """Whose globals the function sees."""


def call_all(
    path: Path,
    groups: Sequence[Calls],
    *,
    seed: int = 0,
    call_limit_s: float = CALL_LIMIT_S,
    load_limit_s: float = LOAD_LIMIT_S,
) -> tuple[list[Answer], Finding | None]:
    """Load a reward function and call it with every group's params.

    Args:
        path: Python file of the user.
        groups: What to call it with.
        seed: Of the global random generators.
        call_limit_s: Longest time for one call, s.
        load_limit_s: Longest time for running the top level of the file, s.

    Returns:
        The worker's answers and, if it did not come to its end, why.
    """
    with tempfile.TemporaryDirectory(prefix="deepracer-reward-") as name:
        folder = Path(name)
        request = {
            "path": str(path),
            "seed": seed,
            "call_limit_s": call_limit_s,
            "load_limit_s": load_limit_s,
            "slow_s": SLOW_CALL_S,
            "groups": [_packed(group) for group in groups if group.params],
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        # Everything that this process can import, the other one can.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        command = [sys.executable, "-m", "deepracer_training.rewards.worker", name]
        with open(folder / "stderr.txt", "wb") as stderr:
            try:
                subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env=environment,
                    check=False,
                    # The worker watches itself; this is for one that cannot.
                    timeout=2 * load_limit_s + 10 * call_limit_s,
                )
            except subprocess.TimeoutExpired:
                return _read_answers(folder), Finding("error", "hang", "it does not come to an end")
        answers = _read_answers(folder)
        if answers and ("end" in answers[-1] or "load_error" in answers[-1]):
            return answers, None
        limit = call_limit_s if answers else load_limit_s
        return answers, _ending(folder, path, limit)


def _packed(group: Calls) -> dict[str, Any]:
    """Name the way points, which are most of the data, only once."""
    params = [{key: value for key, value in one.items() if key != "waypoints"} for one in group.params]
    return {"waypoints": group.params[0]["waypoints"], "params": params, "car": group.car}


def _read_answers(folder: Path) -> list[Answer]:
    file = folder / "answers.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _ending(folder: Path, path: Path, limit_s: float) -> Finding:
    """Explain why the worker ended early."""
    hang = folder / "hang.txt"
    trace = hang.read_text(encoding="utf-8", errors="replace") if hang.is_file() else ""
    if "Timeout" in trace:
        # faulthandler lists the innermost frame first, and writes file names in ASCII.
        own = f'File "{str(path).encode("ascii", "backslashreplace").decode()}", line '
        lines = [line.partition(own)[2].partition(" ")[0] for line in trace.splitlines() if own in line]
        number = int(lines[0]) if lines and lines[0].isdigit() else None
        return Finding("error", "hang", f"it hangs: no answer after {limit_s:g} s", number)
    last = (folder / "stderr.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Finding("error", "crash", f"it ends the whole process{': ' + last[-1][:200] if last else ''}")
