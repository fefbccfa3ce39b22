"""A to Z Speedway, clockwise: our first lap beside that of a real DeepRacer-on-AWS job, same track, same action space.

The job's step logs and the track are AWS's and not part of this project; give the folders that hold them. The job drove
at 1-2 m/s and up to 25 degrees, as our `continuous` action space does.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from pathlib import Path
from typing import Any

from bench import machine, train_seed

AWS_ALL_STEPS = {"first_lap_s": 810.0, "first_lap_steps": 6400, "steps_per_s": 8.0}
"""Of the whole job, from the notes beside its published logs: first complete lap in iteration 10 of 15."""


def laps_in_logs(folder: Path) -> dict[str, Any]:
    """Count what the published iterations of AWS's job show."""
    episodes: dict[str, float] = {}
    for path in sorted(folder.glob("a_to_z_cw_continuous_training_*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                episodes[row["episode"]] = max(episodes.get(row["episode"], 0.0), float(row["progress"]))
    return {"episodes": len(episodes), "complete_laps": sum(progress >= 100 for progress in episodes.values())}


def main() -> None:
    """Train each seed once and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with tracks/ and traces/ of AWS")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--output", type=Path, default=Path("a_to_z.json"))
    arguments = parser.parse_args()
    track = arguments.shared / "tracks" / "reInvent2019_wide_cw.npy"
    rows = []
    for seed in range(1, arguments.seeds + 1):
        rows.append(train_seed(seed, arguments.minutes, str(track.resolve())))
        print(json.dumps(rows[-1]))
    result = {
        "machine": machine(),
        "aws": AWS_ALL_STEPS | laps_in_logs(arguments.shared / "traces"),
        "ours": rows,
        "first_lap_s": max((row["first_lap_s"] or math.inf) for row in rows),
    }
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"AWS: first lap after {AWS_ALL_STEPS['first_lap_s']:.0f} s; ours: {result['first_lap_s']:.1f} s (worst seed)"
    )


if __name__ == "__main__":
    main()
