"""The parameters of the trainer and the evaluation node."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deepracer_inference.config import StrictModel
from deepracer_inference.errors import UserError

CHANGEABLE = ("publish_rate",)
"""May be set while a node runs."""
MAX_CARS = 64
"""Of the simulator node."""
MAX_INT = 2**31 - 1
"""rqt_reconfigure shows no parameter of a node where the range of one goes further."""


class WorkSettings(StrictModel):
    """What training and evaluation have in common; declared as ROS parameters."""

    model: str = Field(default="", description="Name of the model; `deepracer create` makes one.")
    simulator: Literal["embedded", "ros"] = Field(
        default="embedded",
        description="embedded: in this process, the fastest; ros: a node that speaks lock-step over topics.",
    )
    cars: int = Field(
        default=8, ge=1, le=MAX_CARS, description="Number of cars that the simulator over topics has (simulator: ros)."
    )
    timeout: float = Field(
        default=10.0,
        ge=0.1,
        le=600.0,
        description="Wait at most so long for the simulator's answer, s (simulator: ros).",
    )
    publish_rate: float = Field(
        default=15.0,
        ge=0.0,
        le=60.0,
        description="Publish path, and with the embedded simulator camera and pose of car 0, at most so often, Hz; "
        "0: never.",
    )

    def model_name(self) -> str:
        """Return the name of the model.

        Raises:
            UserError: None was given.
        """
        if not self.model:
            raise UserError("no model is given; name one with the parameter model, for example: -p model:=demo")
        return self.model


class TrainerSettings(WorkSettings):
    """Parameters of the trainer node."""

    minutes: float = Field(default=2.0, ge=0.01, le=100_000.0, description="Training time, min, unless steps is given.")
    steps: int = Field(
        default=0,
        ge=0,
        le=MAX_INT,
        description="Training in environment steps of all cars together; 0: minutes decides.",
    )
    seed: int = Field(default=-1, ge=-1, le=MAX_INT, description="Of everything random; -1: that of model.yaml.")
    resume: bool = Field(default=False, description="Go on from the last checkpoint.")


class EvaluationSettings(WorkSettings):
    """Parameters of the evaluation node."""

    laps: int = Field(default=10, ge=1, le=1000, description="Laps to drive, each from a random start.")
    seed: int = Field(default=0, ge=0, le=MAX_INT, description="Of the starts.")
    track: str = Field(default="", description="Another track than the one of the training; empty: that one.")
    video: bool = Field(default=True, description="Film the first laps (simulator: embedded).")
