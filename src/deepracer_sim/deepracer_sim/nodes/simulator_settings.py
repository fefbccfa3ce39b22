"""The parameters of the nodes that serve a simulator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from deepracer_inference.config import StrictModel
from deepracer_inference.observation import ImageSpec, ObservationSpec
from deepracer_sim.gazebo.world import MAX_CARS
from deepracer_sim.tracks.library import DEFAULT_TRACK

CHANGEABLE = ("real_time_factor", "command_timeout")
"""May be set while the node runs."""


class ServerSettings(StrictModel):
    """What the user chooses of any simulator; declared as ROS parameters."""

    track: str = Field(default=DEFAULT_TRACK, description="Name of a track, or path of an .npy file.")
    vehicle: str = Field(default="deepracer", description="Name of a vehicle, or path of a vehicle file (.yaml).")
    cars: int = Field(default=1, ge=1, le=64, description="Number of cars, each alone in a world of its own.")
    mode: Literal["realtime", "lockstep"] = Field(
        default="realtime",
        description="realtime: periods follow the wall clock; "
        "lockstep: a period runs when every car has a command with the stamp of its newest image.",
    )
    real_time_factor: float = Field(
        default=1.0, ge=0.01, le=100.0, description="Simulated seconds per second of the wall clock (realtime)."
    )
    command_timeout: float = Field(
        default=0.5, ge=0.0, le=60.0, description="Cars stop when their command is older, simulated seconds (realtime)."
    )
    encoding: Literal["mono8", "rgb8"] = Field(default="mono8", description="Encoding of the images.")
    publish_tf: bool = Field(default=True, description="Publish /tf (map to base_link) and /tf_static (camera).")
    markers: bool = Field(default=True, description="Publish track and cars as markers for RViz.")

    @property
    def shown(self) -> ObservationSpec | None:
        """What the images show, if not all that the camera sees."""
        return None


class SimulatorSettings(ServerSettings):
    """Those of simulator_node."""

    image: Literal["camera", "observation"] = Field(
        default="camera", description="camera: all that the camera sees; observation: rendered as the network sees it."
    )
    observation: ImageSpec = ImageSpec()
    """Of `image: observation`; over topics there is the front camera only."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Of the textures of road and surroundings.")

    @property
    def shown(self) -> ObservationSpec | None:
        """What the images show, if not all that the camera sees."""
        return ObservationSpec(**self.observation.model_dump()) if self.image == "observation" else None

    @model_validator(mode="after")
    def _check_image(self) -> SimulatorSettings:
        if self.encoding == "rgb8" and self.image == "observation":
            raise ValueError("encoding is rgb8, but image is observation, and observations are grey: use mono8")
        return self


class GazeboSettings(ServerSettings):
    """Those of gazebo_node."""

    cars: int = Field(
        default=1, ge=1, le=MAX_CARS, description="Number of cars in the world; they neither touch nor see each other."
    )
    timeout: float = Field(default=5.0, ge=0.1, le=600.0, description="An answer of Gazebo's may take so long, s.")
    connect_timeout: float = Field(
        default=60.0, ge=1.0, le=600.0, description="The world and its cars may take so long to start, s."
    )
