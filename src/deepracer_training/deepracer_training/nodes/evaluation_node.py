"""The program `evaluation_node`."""

from __future__ import annotations

from deepracer_inference.nodes.process import Runnable, run
from deepracer_training.nodes.worker import leave

NAME = "evaluation_node"


def main() -> None:
    """Evaluate a model."""
    leave(run(NAME, _make))


def _make() -> Runnable:
    # Loading numba and onnxruntime takes seconds; only here is a Ctrl-C during that time a quiet one.
    from deepracer_training.nodes.evaluator import Evaluator

    return Evaluator(NAME)


if __name__ == "__main__":
    main()
