"""The program `trainer_node`."""

from __future__ import annotations

from deepracer_inference.nodes.process import Runnable, run

NAME = "trainer_node"


def main() -> None:
    """Train until the budget is spent, or until Ctrl-C."""
    code = run(NAME, _make)
    # This loads rclpy; before `run`, a Ctrl-C during that would not be a quiet one.
    from deepracer_training.nodes.worker import leave

    leave(code)


def _make() -> Runnable:
    # Loading torch takes seconds; only here is a Ctrl-C during that time a quiet one.
    from deepracer_training.nodes.trainer import Trainer

    return Trainer(NAME)


if __name__ == "__main__":
    main()
