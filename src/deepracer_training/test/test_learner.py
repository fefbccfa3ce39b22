"""What the learner makes of a drive, recomputed step by step from what the environment said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepracer_training.learner import Learner, embedded_fleet, make_env
from deepracer_training.models.config import continuous_action_space, discrete_action_space, preset_config
from deepracer_training.observations import as_inputs, as_tensors, from_inputs, take
from deepracer_training.rewards.function import RewardFunction

CAMERA = ("FRONT_FACING_CAMERA",)
TWO_SENSORS = ("FRONT_FACING_CAMERA", "LIDAR")


@pytest.mark.parametrize(
    ("action_space", "sensors"),
    [(continuous_action_space(), CAMERA), (discrete_action_space(), CAMERA), (continuous_action_space(), TWO_SENSORS)],
    ids=["continuous", "discrete", "two sensors"],
)
def test_a_rollout_says_what_happened(tmp_path: Path, action_space: Any, sensors: tuple[str, ...]) -> None:
    path = tmp_path / "reward_function.py"
    path.write_text("def reward_function(params):\n    return params['steps'] + 0.5\n")
    preset = preset_config("fast", name="m", track="riverside", action_space=action_space, sensors=sensors)
    training = preset.training.model_copy(update={"cars": 5, "horizon_steps": 7, "max_episode_steps": 3})
    config = preset.model_copy(update={"training": training})
    env = make_env(config, embedded_fleet(config, 0).cars, RewardFunction.load(path), 0, "random")
    learner = Learner(config, env, 0)
    said: list[Any] = []
    step = env.step

    def listen(actions: Any) -> Any:
        said.append((actions.copy(), step(actions)))
        return said[-1][1]

    env.step = listen  # type: ignore[method-assign]
    rollout = learner.collect()

    expected: list[Tensor] = []
    cuts = 0
    with torch.no_grad():
        for t, (actions, (observation, rewards, terminated, truncated, info)) in enumerate(said):
            seen = {name: tensor[t] for name, tensor in as_inputs(rollout.observations).items()}
            policy, value = learner.agent(from_inputs(seen))
            torch.testing.assert_close(rollout.actions[t], torch.from_numpy(actions))
            torch.testing.assert_close(rollout.log_probs[t], policy.log_prob(torch.from_numpy(actions)))
            torch.testing.assert_close(rollout.values[t], value)
            assert rollout.dones[t].tolist() == (terminated | truncated).tolist()
            if truncated.any():
                cuts += 1
                _, cut_value = learner.agent(as_tensors(take(info["final_obs"], truncated)))
                rewards = rewards.copy()
                rewards[truncated] += 0.97 * cut_value.numpy()
            expected.append(torch.from_numpy(rewards).float())
            if t + 1 < len(said):
                for name, tensor in as_inputs(as_tensors(observation)).items():
                    assert as_inputs(rollout.observations)[name][t + 1].equal(tensor)
        torch.testing.assert_close(rollout.last_values, learner.agent(as_tensors(said[-1][1][0]))[1])
    assert len(said) == 7
    assert cuts == 2
    assert config.hyperparameters.discount_factor == 0.97
    torch.testing.assert_close(rollout.rewards, torch.stack(expected))
