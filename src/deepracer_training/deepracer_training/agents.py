"""The agent that a configuration describes."""

from __future__ import annotations

from deepracer_training.models.config import ModelConfig
from deepracer_training.networks import ActorCritic
from deepracer_training.sac_networks import SoftActorCritic


def make_agent(config: ModelConfig) -> ActorCritic | SoftActorCritic:
    """Return the agent of a model with fresh weights, from torch's global random numbers."""
    if config.training_algorithm == "sac":
        return SoftActorCritic(config.network, config.observation).eval()
    return ActorCritic(config.network, config.observation, config.action_space, config.training.log_std_init).eval()
