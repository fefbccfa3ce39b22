"""What else is on the road: the `race` section of model.yaml, with AWS's numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from deepracer_inference.config import StrictModel

RaceType = Literal["time_trial", "object_avoidance", "head_to_head"]
Lane = Literal["inner", "outer", "left", "right"]
Number = Annotated[int, Field(ge=1, le=6)]
Gap = Annotated[float, Field(ge=0.6, le=20.0)]


class BoxPosition(StrictModel):
    """A place for one box."""

    at: Annotated[float, Field(ge=0.07, le=0.9)] = Field(
        description="Share of the lap from the start line; AWS's range keeps the line clear."
    )
    lane: Lane = Field(default="inner", description="Lane: inner, outer, left or right.")


class BoxSettings(StrictModel):
    """Boxes of object avoidance; numbers and rules are AWS's."""

    number: Number = Field(default=3, description="Boxes on the road; a list of positions overrides it.")
    positions: Literal["random", "even"] | tuple[BoxPosition, ...] = Field(
        default="random",
        description="random: elsewhere in every episode; even: equally spaced along the lap; or a list of places.",
    )
    lanes: Literal["random", "alternate", "inner", "outer", "left", "right"] = Field(
        default="random", description="Lanes of boxes without a place of their own."
    )
    min_gap_m: Gap = Field(default=2.0, description="Between two boxes, and from the start of the lap to the first.")

    @model_validator(mode="after")
    def _number_of_places(self) -> BoxSettings:
        if not isinstance(self.positions, str) and not 1 <= len(self.positions) <= 6:
            raise ValueError(f"positions lists {len(self.positions)} boxes, but 1 to 6 are possible")
        return self

    @property
    def fixed(self) -> tuple[BoxPosition, ...]:
        """The listed places, none if there is no list."""
        return () if isinstance(self.positions, str) else self.positions

    @property
    def count(self) -> int:
        """Number of boxes."""
        return len(self.fixed) or self.number


class BotSettings(StrictModel):
    """Bot cars of head-to-head; numbers and rules are AWS's."""

    number: Number = Field(default=3, description="Bot cars on the road.")
    speed: Annotated[float, Field(ge=0.0, le=4.0)] = Field(
        default=0.2, description="m/s along the centre line; AWS's league took 0.75."
    )
    positions: Literal["random", "even"] = Field(
        default="random", description="Where they are when an episode starts, and in which lanes."
    )
    lane_change: bool = Field(default=True, description="Whether they change lanes.")
    lane_change_wait_s: tuple[Annotated[float, Field(ge=0.0, le=60.0)], Annotated[float, Field(ge=0.0, le=60.0)]] = (
        Field(default=(3.0, 5.0), description="Shortest and longest time in a lane, s.")
    )
    lane_change_distance_m: Annotated[float, Field(ge=0.2, le=10.0)] = Field(
        default=1.0, description="Way that a change of lanes takes, m."
    )
    min_gap_m: Gap = Field(default=2.0, description="Between two bot cars, and from the start to the first.")

    @model_validator(mode="after")
    def _order(self) -> BotSettings:
        shortest, longest = self.lane_change_wait_s
        if shortest > longest:
            raise ValueError(f"lane_change_wait_s is {shortest:g} to {longest:g}; put the shorter time first")
        return self


class RaceSettings(StrictModel):
    """What is on the road besides the car: boxes or bot cars."""

    boxes: BoxSettings | None = Field(default=None, description="Of race_type object_avoidance.")
    bots: BotSettings | None = Field(default=None, description="Of race_type head_to_head.")
    collision_penalty_s: Annotated[float, Field(ge=0.0, le=60.0)] = Field(
        default=5.0, description="Time that hitting one of them costs in an evaluation, s."
    )

    @classmethod
    def for_type(cls, race_type: RaceType) -> RaceSettings | None:
        """Return AWS's settings of a race type; None for a time trial."""
        if race_type == "time_trial":
            return None
        if race_type == "object_avoidance":
            return cls(boxes=BoxSettings())
        return cls(bots=BotSettings())
