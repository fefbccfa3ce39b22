"""Lets `python -m deepracer_training.cli` stand for the command `deepracer`."""

import sys

from deepracer_training.cli.main import main

sys.exit(main())
