"""Tracks: geometry, the library, AWS's file format, checks and seeded generation."""

from deepracer_sim.tracks.library import load_track, track_names
from deepracer_sim.tracks.track import Projection, Track

__all__ = ["Projection", "Track", "load_track", "track_names"]
