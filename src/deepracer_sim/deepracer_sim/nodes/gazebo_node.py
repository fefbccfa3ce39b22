"""The program `gazebo_node`."""

from __future__ import annotations

import sys

from deepracer_inference.nodes.process import Runnable, run

NAME = "gazebo_node"


def main() -> None:
    """Serve Gazebo until Ctrl-C."""
    sys.exit(run(NAME, _make))


def _make() -> Runnable:
    # Loading numba takes seconds; only here is a Ctrl-C during that time a quiet one.
    from deepracer_sim.nodes.gazebo_server import make_server

    return make_server(NAME)


if __name__ == "__main__":
    main()
