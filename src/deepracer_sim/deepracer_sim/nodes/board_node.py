"""The program `board_node`."""

from __future__ import annotations

import sys

from deepracer_inference.nodes.process import Runnable, run

NAME = "board_node"


def main() -> None:
    """Run the board until Ctrl-C."""
    sys.exit(run(NAME, _make))


def _make() -> Runnable:
    # Loading takes time; only here is a Ctrl-C during that time a quiet one.
    from deepracer_sim.nodes.board import BoardServer

    return BoardServer(NAME)


if __name__ == "__main__":
    main()
