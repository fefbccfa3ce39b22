"""The program `simulator_node`."""

from __future__ import annotations

import sys

from deepracer_inference.nodes.process import Runnable, run

NAME = "simulator_node"


def main() -> None:
    """Run the simulator until Ctrl-C."""
    sys.exit(run(NAME, _make))


def _make() -> Runnable:
    # Loading numba takes seconds; only here is a Ctrl-C during that time a quiet one.
    from deepracer_sim.nodes.embedded_server import make_server

    return make_server(NAME)


if __name__ == "__main__":
    main()
