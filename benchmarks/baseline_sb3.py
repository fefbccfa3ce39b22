"""Stable-Baselines3's PPO on our environment, with our network and hyperparameters, to compare speeds in one run."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from deepracer_training.environment import RacingEnv
from deepracer_training.models.config import ModelConfig
from deepracer_training.networks import ARCHITECTURES, Encoder


class Sb3Env(VecEnv):
    """`RacingEnv` behind SB3's interface; it adds nothing but the list of info dicts that SB3 asks for."""

    def __init__(self, env: RacingEnv) -> None:
        self.render_mode = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.env = env
        self._actions: Any = None

    def reset(self) -> Any:
        return self.env.reset()[0]

    def step_async(self, actions: Any) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for car in np.flatnonzero(done):
            infos[car] = {
                "TimeLimit.truncated": bool(truncated[car]),
                "terminal_observation": info["final_obs"][car],
            }
        self.env.pop_episodes()
        return observations, rewards.astype(np.float32), done, infos

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class Extractor(BaseFeaturesExtractor):
    """Our encoder as SB3's feature extractor; SB3 has moved the channels to the front and scaled the image to 0..1."""

    def __init__(self, observation_space: gymnasium.Space[Any], config: ModelConfig) -> None:
        encoder = Encoder(ARCHITECTURES[config.network], config.observation)
        super().__init__(observation_space, encoder.features)
        self.encoder = encoder

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.encoder(image)
        return out


def build(env: RacingEnv, config: ModelConfig, seed: int) -> PPO:
    """Return SB3's PPO with everything set as in our own loop."""
    hyperparameters, training = config.hyperparameters, config.training
    return PPO(
        "CnnPolicy",
        Sb3Env(env),
        learning_rate=hyperparameters.lr,
        n_steps=training.horizon_steps,
        batch_size=hyperparameters.batch_size,
        n_epochs=hyperparameters.num_epochs,
        gamma=hyperparameters.discount_factor,
        gae_lambda=training.gae_lambda,
        clip_range=training.clip_range,
        ent_coef=hyperparameters.beta_entropy,
        vf_coef=training.value_coefficient,
        max_grad_norm=training.max_grad_norm,
        seed=seed,
        policy_kwargs={
            "features_extractor_class": Extractor,
            "features_extractor_kwargs": {"config": config},
            "net_arch": [],
            "log_std_init": training.log_std_init,
        },
    )
