"""One gradient of PPO for the compact network: each of two threads goes all the way forward and back with its images.

torch's way would need Python's lock for some fifty small operations in between, and the threads would wait for each
other; with them, the kernels take the smaller part of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepracer_training import ppo_objective
from deepracer_training.compact_encoder import Passes
from deepracer_training.networks import LOG_STD_RANGE, ActorCritic, Encoder
from deepracer_training.ppo_objective import Experience, Weights


def differentiate(agent: ActorCritic, columns: Sequence[Tensor], weights: Weights) -> Tensor:
    """Return the five terms of the objective over a minibatch, and leave its gradient in the agent's parameters.

    Args:
        agent: With `compiled`.
        columns: Images, actions, old log densities, advantages and targets of N experiences.
        weights: Of the objective's terms.
    """
    assert isinstance(agent.encoder, Encoder)
    images, *rest = columns
    experience = [column.numpy() for column in rest]
    parameters = agent.encoder.learned
    passes = Passes(images, parameters)
    heads = torch.cat([agent.policy.weight, agent.value.weight]).detach().numpy()
    bias = torch.cat([agent.policy.bias, agent.value.bias]).detach().numpy()
    log_std = None if agent.log_std is None else agent.log_std.detach().clamp(*LOG_STD_RANGE).numpy()

    def learn(number: int) -> tuple[Any, ...]:
        part = passes.parts[number]
        passes.forward(number)
        features = passes.features[part]
        given = Experience(*(column[part] for column in experience))
        with np.errstate(all="ignore"):  # a training that diverges ends with an error of its own
            said = features @ heads.T + bias
            head, value = np.ascontiguousarray(said[:, :-1]), np.ascontiguousarray(said[:, -1])
            terms, to_head, to_value, to_log_std = ppo_objective.differentiate(head, value, log_std, weights, given)
            to_said = np.column_stack([to_head, to_value])
            to_features, to_heads = to_said @ heads, to_said.T @ features
        passes.backward(number, to_features)
        return terms, to_heads, to_said.sum(0), 0.0 if to_log_std is None else to_log_std

    terms, to_heads, to_bias, to_log_std = (sum(each) for each in zip(*passes.run(learn), strict=True))
    for parameter, gradient in zip(parameters, passes.gradients(), strict=True):
        parameter.grad = gradient
    for layer, rows in ((agent.policy, slice(-1)), (agent.value, slice(-1, None))):
        layer.weight.grad, layer.bias.grad = torch.from_numpy(to_heads[rows]), torch.from_numpy(to_bias[rows])
    if agent.log_std is not None:
        free = (agent.log_std >= LOG_STD_RANGE[0]) & (agent.log_std <= LOG_STD_RANGE[1])
        agent.log_std.grad = torch.from_numpy(to_log_std) * free
    return torch.from_numpy(terms)
