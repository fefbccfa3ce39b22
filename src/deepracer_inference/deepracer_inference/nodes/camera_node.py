"""The program `camera_node`."""

from __future__ import annotations

import sys

from deepracer_inference.nodes.process import Runnable, run

NAME = "camera_node"


def main() -> None:
    """Run the node until Ctrl-C."""
    sys.exit(run(NAME, _make))


def _make() -> Runnable:
    # What takes time to load is loaded here, where Ctrl-C is a quiet one.
    from deepracer_inference.nodes.camera import CameraPublisher

    return CameraPublisher(NAME)


if __name__ == "__main__":
    main()
