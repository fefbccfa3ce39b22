"""The process in which `rewards.sandbox` runs somebody's reward function, so that a hang or a crash stays there.

Called as `python -m deepracer_training.rewards.worker FOLDER`. The folder holds `request.json`; the answers go to
`answers.jsonl`, one line each, and if a call does not come back, the place where it hangs goes to `hang.txt`.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from deepracer_inference.errors import UserError
from deepracer_training.rewards import terms
from deepracer_training.rewards.function import RewardError, RewardFunction

SLOW_CALLS = 5
"""After so many slow calls there is nothing more to learn."""


def main(folder: Path) -> None:
    """Load the function, call it with every situation, write down what happens."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    with (
        open(folder / "answers.jsonl", "w", encoding="utf-8") as answers,
        open(folder / "hang.txt", "w", encoding="utf-8") as hang,
    ):
        faulthandler.dump_traceback_later(request["load_limit_s"], exit=True, file=hang)
        try:
            function = RewardFunction.load(Path(request["path"]), seed=request["seed"])
        except UserError as error:
            _answer(answers, {"load_error": _describe(error)})
            return
        slow = 0
        with terms.captured() as texts:
            for index, (car, params) in enumerate(_all_params(request["groups"])):
                # Unlike an alarm, this watchdog also ends a call that hangs in compiled code or catches everything.
                faulthandler.dump_traceback_later(request["call_limit_s"], exit=True, file=hang)
                _answer(answers, {"index": index})
                texts.clear()
                answer = _call(function, params, car)
                answer["terms"] = terms.in_text("\n".join(texts)) | answer.get("terms", {})
                _answer(answers, answer)
                slow += answer["time_s"] > request["slow_s"]
                if slow >= SLOW_CALLS:
                    break
        faulthandler.cancel_dump_traceback_later()
        _answer(answers, {"end": True})


def _all_params(groups: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for group in groups:
        # JSON knows no tuples; AWS's waypoints are tuples.
        waypoints = [tuple(waypoint) for waypoint in group["waypoints"]]
        for params in group["params"]:
            yield group["car"], {**params, "waypoints": waypoints.copy()}


def _call(function: RewardFunction, params: dict[str, Any], car: int) -> dict[str, Any]:
    begin = time.perf_counter()
    try:
        given = params.copy()
        returned = function.call(params, car)
        time_s = time.perf_counter() - begin
        reward = function.check(returned, given)
        kind, found = type(returned).__name__, terms.split(returned)[1]
        return {"reward": reward, "type": kind, "terms": found, "time_s": time_s}
    except RewardError as error:
        return {"error": _describe(error), "time_s": time.perf_counter() - begin}


def _describe(error: UserError) -> dict[str, Any]:
    if isinstance(error, RewardError):
        return {"kind": error.kind, "text": error.text, "line": error.line}
    return {"kind": "file", "text": str(error), "line": None}


def _answer(answers: TextIO, answer: dict[str, Any]) -> None:
    # At once: the watchdog ends the process without a farewell.
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
