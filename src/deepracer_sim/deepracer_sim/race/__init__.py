"""The race rules: progress, laps, violations, penalties; one referee for every simulator."""

from deepracer_sim.race.referee import Referee, Verdict
from deepracer_sim.race.rules import STATUSES, EpisodeStatus, RaceRules

__all__ = ["STATUSES", "EpisodeStatus", "RaceRules", "Referee", "Verdict"]
