"""From a parent's weights to a clone's: what fits is re-used, what means something else is converted or left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from deepracer_inference.action_space import ContinuousActionSpace, DiscreteActionSpace
from deepracer_inference.errors import UserError
from deepracer_training.checkpoint import Checkpoint
from deepracer_training.models.config import ModelConfig

NEW_ACTION_PENALTY = 1.0
"""Taken off the logit of a new discrete action, which begins as a copy of its nearest old one and shall not beat it."""


@dataclass(frozen=True)
class Reuse:
    """What became of one part of a network."""

    part: str
    how: Literal["re-used", "converted", "partly", "new"]
    note: str = ""

    def __str__(self) -> str:
        """Return the line for people."""
        word = {"partly": "partly re-used", "new": "starts anew"}.get(self.how, self.how)
        return f"{self.part}: {word}{f', {self.note}' if self.note else ''}"


def adopt(checkpoint: Checkpoint, agent: nn.Module, config: ModelConfig) -> list[Reuse]:
    """Give an agent the weights of another model's checkpoint, as far as they mean the same.

    A changed range of a continuous action space is worked into the last layer, so that equal images still give equal
    commands in rad and m/s, clipped to the new range. Discrete actions keep the weights of the equal old action.

    Args:
        checkpoint: Of the parent, with the configuration that it was trained with.
        agent: Of the clone, freshly initialised.
        config: Of the clone.

    Returns:
        What became of each part, in the order of the network.

    Raises:
        UserError: Nothing at all fits.
    """
    before = checkpoint.state.config
    given = {name.removeprefix("agent."): value for name, value in checkpoint.tensors.items() if name[:6] == "agent."}
    state = dict(agent.state_dict())
    found = {name: _counterpart(name, tensor, given) for name, tensor in state.items()}
    if before.network != config.network:
        # Layers that happen to have equal shapes in two architectures have learned nothing that the other one can use.
        found = dict.fromkeys(found)
    same_algorithm = before.training_algorithm == config.training_algorithm
    head = _head(before, config, given, state) if same_algorithm else {}
    if head is not None:
        found |= dict.fromkeys((name for name in state if _part(name) == "policy"), None) | head
    agent.load_state_dict({name: value if (value := found[name]) is not None else state[name] for name in state})
    report = [
        _describe(part, [name for name in state if _part(name) == part], found, before, config, head)
        for part in ("encoder", "policy", "value")
    ]
    if all(reuse.how == "new" for reuse in report):
        raise UserError(
            f"nothing of the parent's network ({before.network}) fits the clone's ({config.network}); keep the network "
            "and the observation, or start with fresh weights: --from none"
        )
    return report


def _part(name: str) -> str:
    """Return the part of the network that a tensor belongs to; empty for what is not learned or a copy."""
    if name.startswith("target.") or name == "updates":
        return ""
    if name.startswith(("policy.", "log_std", "actor.")):
        return "policy"
    return "value" if name.startswith(("value.", "critics.")) else "encoder"


def _counterpart(name: str, tensor: Tensor, given: dict[str, Tensor]) -> Tensor | None:
    """Find the parent's tensor for one of the clone's; SAC's slow copies begin as what they are copies of."""
    for candidate in (name, name.removeprefix("target.")):
        if candidate in given and given[candidate].shape == tensor.shape:
            return given[candidate]
    return None


def _head(
    before: ModelConfig, after: ModelConfig, given: dict[str, Tensor], state: dict[str, Tensor]
) -> dict[str, Tensor] | None:
    """Return the policy head for another action space, empty if it must start anew; None if nothing has to change."""
    old, new = before.action_space, after.action_space
    if old == new or after.training_algorithm != "clipped_ppo":
        return None
    fits = before.network == after.network and given["policy.weight"].shape[1] == state["policy.weight"].shape[1]
    if not fits or old.kind != new.kind:
        return {}
    weight, bias = given["policy.weight"], given["policy.bias"]
    if isinstance(old, DiscreteActionSpace) and isinstance(new, DiscreteActionSpace):
        rows, is_old = _matching_actions(old, new)
        penalty = torch.where(torch.tensor(is_old), 0.0, NEW_ACTION_PENALTY)
        return {"policy.weight": weight[rows].clone(), "policy.bias": bias[rows] - penalty}
    assert isinstance(old, ContinuousActionSpace)
    assert isinstance(new, ContinuousActionSpace)
    low, high, new_low, new_high = (torch.from_numpy(ends.copy()) for ends in (old.low, old.high, new.low, new.high))
    # command = low + (head + 1) / 2 * (high - low) has to stay the same.
    scale = (high - low) / (new_high - new_low)
    shift = (low + high - new_low - new_high) / (new_high - new_low)
    return {
        "policy.weight": weight * scale[:, None],
        "policy.bias": bias * scale + shift,
        "log_std": given["log_std"] + scale.log(),
    }


def _matching_actions(old: DiscreteActionSpace, new: DiscreteActionSpace) -> tuple[list[int], list[bool]]:
    """Return the index of the nearest old action for each new one, and whether it is the same."""
    # 30 degrees of steering weigh as much as 4 m/s: the ends of what AWS allows.
    distances = [
        [abs(a.steering_angle - b.steering_angle) / 30.0 + abs(a.speed - b.speed) / 4.0 for b in old.actions]
        for a in new.actions
    ]
    rows = [line.index(min(line)) for line in distances]
    return rows, [min(line) == 0.0 for line in distances]


def _describe(
    part: str,
    names: list[str],
    found: dict[str, Tensor | None],
    before: ModelConfig,
    after: ModelConfig,
    head: dict[str, Tensor] | None,
) -> Reuse:
    kept = sum(found[name] is not None for name in names)
    title = {"policy": "policy head", "value": "value function"}.get(part, part)
    if kept == len(names):
        if part != "policy" or before.action_space == after.action_space:
            return Reuse(title, "re-used", _change_of_task(before, after) if part == "value" else "")
        return Reuse(title, "converted", _action_note(before, after, head))
    reason = _difference(before, after, part)
    if kept:
        return Reuse(title, "partly", f"{kept} of {len(names)} tensors{f'; {reason}' if reason else ''}")
    return Reuse(title, "new", reason)


def _action_note(before: ModelConfig, after: ModelConfig, head: dict[str, Tensor] | None) -> str:
    old, new = before.action_space, after.action_space
    if isinstance(old, DiscreteActionSpace) and isinstance(new, DiscreteActionSpace):
        known = sum(_matching_actions(old, new)[1])
        fresh = len(new.actions) - known
        gone = sum(action not in new.actions for action in old.actions)
        parts = [f"{known} of {len(new.actions)} actions are the parent's"]
        parts += [f"{fresh} new start as copies of their nearest ones"] if fresh else []
        parts += [f"{gone} of the parent's are gone"] if gone else []
        return "; ".join(parts)
    if head is None:
        return "the same share of the new ranges is commanded"
    return "the same steering and speed are commanded, within the new ranges"


def _change_of_task(before: ModelConfig, after: ModelConfig) -> str:
    changed = before.hyperparameters.discount_factor != after.hyperparameters.discount_factor
    return "though discount_factor has changed, so it has to be corrected" if changed else ""


def _difference(before: ModelConfig, after: ModelConfig, part: str) -> str:
    """Name the first reason why weights do not fit."""
    if before.network != after.network:
        return f"network was {before.network}"
    if before.training_algorithm != after.training_algorithm and part != "encoder":
        return f"training_algorithm was {before.training_algorithm}"
    if before.action_space.kind != after.action_space.kind and part == "policy":
        return f"the action space was {before.action_space.kind}"
    return "the observation was another one" if before.observation != after.observation else ""


def lines(report: Iterable[Reuse]) -> list[str]:
    """Return one line per part."""
    return [str(reuse) for reuse in report]
