"""Dynamics: how the car moves under its commands."""

from deepracer_sim.dynamics.single_track import SingleTrack

__all__ = ["SingleTrack"]
