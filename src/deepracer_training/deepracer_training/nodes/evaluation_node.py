"""The program `evaluation_node`."""

from __future__ import annotations

from deepracer_inference.nodes.process import Runnable, run

NAME = "evaluation_node"


def main() -> None:
    """Evaluate a model."""
    code = run(NAME, _make)
    # This loads rclpy; before `run`, a Ctrl-C during that would not be a quiet one.
    from deepracer_training.nodes.worker import leave

    leave(code)


def _make() -> Runnable:
    # Loading numba and onnxruntime takes seconds; only here is a Ctrl-C during that time a quiet one.
    from deepracer_training.nodes.evaluator import Evaluator

    return Evaluator(NAME)


if __name__ == "__main__":
    main()
