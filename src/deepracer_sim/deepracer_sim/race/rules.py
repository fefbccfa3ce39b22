"""AWS's race rules as data: how an episode can stand, and when it ends."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from deepracer_inference.config import StrictModel

Seconds = Annotated[float, Field(ge=0.0, le=3600.0)]
Steps = Annotated[int, Field(ge=1)]


class EpisodeStatus(str, Enum):
    """Where an episode stands after a step; the values are those of AWS's traces."""

    PREPARE = "prepare"
    IN_PROGRESS = "in_progress"
    LAP_COMPLETE = "lap_complete"
    OFF_TRACK = "off_track"
    CRASHED = "crashed"
    IMMOBILIZED = "immobilized"
    REVERSED = "reversed"
    TIME_UP = "time_up"
    PAUSE = "pause"
    PARK = "park"

    @property
    def label(self) -> str:
        """Spelling in AWS's metrics files."""
        return "Time Up" if self is EpisodeStatus.TIME_UP else self.value.replace("_", " ").capitalize()


STATUSES: tuple[EpisodeStatus, ...] = tuple(EpisodeStatus)
"""Statuses in arrays are indices into this tuple."""


class RaceRules(StrictModel):
    """When an episode ends and what a violation costs; the defaults are AWS's.

    A violation is to leave the track, to drive backwards or to stand still. As long as `max_resets` is not used up it
    costs a reset: the car is put back on the centre line and stands there for the penalty time while the clock runs.
    After that, the next violation ends the episode.
    """

    off_track_penalty_s: Seconds = 2.0
    """For leaving the track and, as at AWS, for driving backwards. Standing still costs only the time lost."""
    collision_penalty_s: Seconds = 5.0
    """For hitting an obstacle."""
    immobilized_steps: Steps = 15
    """Standing still for so many steps in a row is a violation."""
    immobilized_distance: Annotated[float, Field(ge=0.0)] = 0.0003
    """A car that moves no farther than this in one step (m) stands still."""
    reversed_steps: Steps = 15
    """Losing progress for so many steps in a row is a violation."""
    max_steps: Steps = 100_000
    """The episode ends after so many steps, time_up."""
    max_resets: Annotated[int, Field(ge=0)] = 100
    """Violations that are forgiven."""

    @classmethod
    def training(cls, max_steps: int = 100_000) -> RaceRules:
        """Any violation ends the episode at once."""
        return cls(off_track_penalty_s=0.0, collision_penalty_s=0.0, max_resets=0, max_steps=max_steps)

    @classmethod
    def evaluation(cls) -> RaceRules:
        """Violations cost time; the episode goes on until the lap is complete."""
        return cls()
