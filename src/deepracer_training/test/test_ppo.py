"""PPO: the maths by hand, determinism, and small worlds that must be solved."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from deepracer_inference.action_space import ContinuousActionSpace, DiscreteAction, DiscreteActionSpace, Range
from deepracer_inference.observation import ObservationSpec
from deepracer_training.networks import ActorCritic, Categorical, Gaussian
from deepracer_training.ppo import PPO, PPOSettings, Rollout, advantages
from deepracer_training.ppo_objective import Experience, Weights, differentiate

OBSERVATION = ObservationSpec(width=40, height=24)
CONTINUOUS = ContinuousActionSpace(steering_angle=Range(low=-30, high=30), speed=Range(low=1, high=2))
DISCRETE = DiscreteActionSpace(
    actions=tuple(DiscreteAction(steering_angle=angle, speed=1.0) for angle in (-30.0, 0.0, 30.0))
)
SETTINGS = PPOSettings(
    batch_size=64,
    num_epochs=4,
    discount_factor=0.9,
    gae_lambda=0.95,
    clip_range=0.2,
    beta_entropy=0.0,
    value_coefficient=0.5,
    max_grad_norm=0.5,
    huber=True,
)


def rollout_of(rewards: list[float], values: list[float], dones: list[bool], last_value: float) -> Rollout:
    column = lambda data, kind: torch.tensor(data, dtype=kind).unsqueeze(1)  # noqa: E731
    steps = len(rewards)
    return Rollout(
        observations=torch.zeros(steps, 1, 24, 40, 1, dtype=torch.uint8),
        actions=torch.zeros(steps, 1, 2),
        log_probs=torch.zeros(steps, 1),
        values=column(values, torch.float32),
        rewards=column(rewards, torch.float32),
        dones=column(dones, torch.bool),
        last_values=torch.tensor([last_value]),
    )


def test_advantages_of_hand_computed_rewards_values_and_dones() -> None:
    rollout = rollout_of([1.0, 2.0, 3.0], [0.5, 1.0, 1.5], [False, True, False], 2.0)
    # Backwards, gamma 0.9, lambda 0.5: 3 + 0.9*2 - 1.5 = 3.3; the episode ends at t=1: 2 - 1 = 1;
    # 1 + 0.9*1 - 0.5 = 1.4, plus 0.45 * 1 = 1.85.
    out = advantages(rollout, discount_factor=0.9, gae_lambda=0.5)
    assert out.squeeze(1).tolist() == pytest.approx([1.85, 1.0, 3.3])


def test_advantages_with_lambda_one_are_discounted_returns_minus_values() -> None:
    rollout = rollout_of([1.0, 1.0], [0.0, 0.25], [False, False], 4.0)
    out = advantages(rollout, discount_factor=0.5, gae_lambda=1.0)
    assert out.squeeze(1).tolist() == pytest.approx([1 + 0.5 * (1 + 0.5 * 4), 1 + 0.5 * 4 - 0.25])


def test_gaussian_agrees_with_torch_distributions() -> None:
    mean, log_std = torch.randn(7, 2), torch.tensor([-0.3, 0.2])
    ours, theirs = Gaussian(mean, log_std), torch.distributions.Normal(mean, log_std.exp())
    action = torch.randn(7, 2)
    torch.testing.assert_close(ours.log_prob(action), theirs.log_prob(action).sum(-1))


def test_categorical_agrees_with_torch_distributions() -> None:
    logits, action = torch.randn(7, 3), torch.randint(0, 3, (7,))
    ours, theirs = Categorical(logits), torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(ours.log_prob(action), theirs.log_prob(action))
    counts = torch.bincount(Categorical(logits[:1].expand(20_000, 3)).sample(torch.Generator().manual_seed(1)))
    torch.testing.assert_close(counts / 20_000, theirs.probs[0], atol=0.02, rtol=0)


@pytest.mark.parametrize("huber", [True, False])
@pytest.mark.parametrize("continuous", [True, False])
def test_the_objective_and_its_derivatives_are_those_of_torch(continuous: bool, huber: bool) -> None:
    torch.manual_seed(2)
    count, clip_range, value_coefficient, beta_entropy = 300, 0.2, 0.7, 0.03
    head = (torch.randn(count, 2) if continuous else 3.0 * torch.randn(count, 4)).requires_grad_()
    value = (2.0 * torch.randn(count)).requires_grad_()
    log_std = torch.tensor([-0.5, 0.3]).requires_grad_() if continuous else None
    actions = torch.randn(count, 2) if continuous else torch.randint(0, 4, (count,))
    if log_std is not None:
        gaussian = torch.distributions.Normal(head, log_std.exp())
        log_prob, entropy = gaussian.log_prob(actions).sum(-1), gaussian.entropy().sum(-1).mean()
    else:
        categorical = torch.distributions.Categorical(logits=head)
        log_prob, entropy = categorical.log_prob(actions), categorical.entropy().mean()
    old_log_probs = log_prob.detach() + 0.3 * torch.randn(count)
    advantage, target = torch.randn(count), torch.randn(count)

    weights = Weights(1.0 / count, clip_range, value_coefficient, beta_entropy, huber)
    experience = Experience(*(column.numpy() for column in (actions, old_log_probs, advantage, target)))
    numbers = None if log_std is None else log_std.detach().numpy()
    terms, *derivatives = differentiate(head.detach().numpy(), value.detach().numpy(), numbers, weights, experience)

    ratio = (log_prob - old_log_probs).exp()
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
    value_loss = (functional.smooth_l1_loss if huber else functional.mse_loss)(value, target)
    outside = (ratio - 1.0).abs() > clip_range
    assert 0.1 < outside.float().mean() < 0.9
    kl = (ratio - 1.0 - ratio.log()).mean()
    expected = [policy_loss, value_loss, entropy, kl, outside.float().mean()]
    assert list(terms) == pytest.approx([each.item() for each in expected], rel=1e-5)
    (policy_loss + value_coefficient * value_loss - beta_entropy * entropy).backward()  # type: ignore[no-untyped-call]
    for mine, said in zip(derivatives, (head, value, log_std), strict=True):
        assert (mine is None) == (said is None)
        if mine is not None and said is not None:
            torch.testing.assert_close(torch.from_numpy(mine), said.grad, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("column", range(5))
def test_what_is_not_a_number_shows_in_the_derivatives(column: int) -> None:
    columns = [np.zeros(shape, np.float32) for shape in (3, (3, 2), 3, 3, 3)]
    columns[3] += 1.0
    columns[column][1] = np.nan
    weights = Weights(1.0 / 3.0, 0.2, 0.5, 0.01, True)
    head, log_std = np.zeros((3, 2), np.float32), np.zeros(2, np.float32)
    terms, *derivatives = differentiate(head, columns[0], log_std, weights, Experience(*columns[1:]))
    assert any(derivative is not None and np.isnan(derivative).any() for derivative in derivatives)
    assert any(math.isnan(term) for term in terms)


@pytest.mark.parametrize("space", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_solves_a_world_where_the_image_tells_the_right_action(
    space: ContinuousActionSpace | DiscreteActionSpace,
) -> None:
    """Bright images want the first action (or +0.5), dark ones the last (or -0.5): one step per episode."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    agent = ActorCritic("compact", OBSERVATION, space).eval()
    optimizer = torch.optim.Adam(agent.parameters(), lr=1e-3)

    def experience() -> tuple[Rollout, float]:
        bright = torch.rand(256, generator=generator) < 0.5
        image = torch.where(bright, 200, 50).to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 24, 40, 1)
        with torch.no_grad():
            policy, value = agent(image)
            action = policy.sample(generator)
            if space is CONTINUOUS:
                reward = -(action - torch.where(bright, 0.5, -0.5).unsqueeze(1)).abs().sum(1)
                greedy = -(policy.greedy() - torch.where(bright, 0.5, -0.5).unsqueeze(1)).abs().sum(1).mean()
            else:
                reward = (action == torch.where(bright, 0, 2)).float()
                greedy = (policy.greedy() == torch.where(bright, 0, 2)).float().mean()
            log_prob = policy.log_prob(action)
        one = lambda x: x.unsqueeze(0)  # noqa: E731
        dones = torch.ones(1, 256, dtype=torch.bool)
        rollout = Rollout(one(image), one(action), one(log_prob), one(value), one(reward), dones, torch.zeros(256))
        return rollout, float(greedy)

    before = experience()[1]
    ppo = PPO(agent, optimizer, SETTINGS, generator)
    for _ in range(40):
        ppo.update(experience()[0])
    after = experience()[1]
    if space is CONTINUOUS:
        assert after > -0.3 > before
    else:
        assert after > 0.98 > before


def test_same_seed_gives_identical_weights_and_statistics() -> None:
    def run() -> tuple[list[torch.Tensor], object]:
        torch.manual_seed(3)
        generator = torch.Generator().manual_seed(3)
        agent = ActorCritic("compact", OBSERVATION, CONTINUOUS).eval()
        optimizer = torch.optim.Adam(agent.parameters(), lr=1e-3)
        images = torch.randint(0, 255, (8, 16, 24, 40, 1), dtype=torch.uint8, generator=generator)
        with torch.no_grad():
            policy, value = agent(images.flatten(0, 1))
            action = policy.sample(generator)
        rewards = torch.randn(8, 16, generator=generator)
        rollout = Rollout(
            images,
            action.reshape(8, 16, 2),
            policy.log_prob(action).reshape(8, 16),
            value.reshape(8, 16),
            rewards,
            rewards > 1.5,
            torch.zeros(16),
        )
        stats = PPO(agent, optimizer, SETTINGS, generator).update(rollout)
        return list(agent.parameters()), stats

    (first, first_stats), (second, second_stats) = run(), run()
    assert first_stats == second_stats
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("already_moved", [True, False])
def test_clipping_leaves_actions_alone_that_have_moved_far_enough(already_moved: bool) -> None:
    """Good actions twice as likely as before and bad ones half as likely: beyond the clip there is nothing to gain."""
    torch.manual_seed(0)
    agent = ActorCritic("compact", OBSERVATION, DISCRETE).eval()
    before = copy.deepcopy(agent)
    image = torch.randint(0, 255, (1, 128, 24, 40, 1), dtype=torch.uint8)
    good = torch.arange(128) % 2 == 0
    with torch.no_grad():
        policy, value = agent(image[0])
        action = policy.sample(torch.Generator().manual_seed(0))
        log_prob = policy.log_prob(action)
    if already_moved:
        log_prob = log_prob + torch.where(good, -0.7, 0.7)
    one = lambda x: x.unsqueeze(0)  # noqa: E731
    rewards = torch.where(good, 10.0, -10.0)
    dones = torch.ones(1, 128, dtype=torch.bool)
    rollout = Rollout(one(image[0]), one(action), one(log_prob), one(value), one(rewards), dones, torch.zeros(128))
    settings = replace(SETTINGS, value_coefficient=0.0, num_epochs=1)
    optimizer = torch.optim.Adam(agent.parameters(), lr=1e-6)
    stats = PPO(agent, optimizer, settings, torch.Generator().manual_seed(0)).update(rollout)
    unchanged = all(torch.equal(a, b) for a, b in zip(agent.parameters(), before.parameters(), strict=True))
    assert unchanged == already_moved
    assert stats.clip_fraction == (1.0 if already_moved else 0.0)


def test_two_halves_of_a_minibatch_give_the_gradient_of_the_whole() -> None:
    """The threads must not change the mathematics: compare with one pass over the whole batch."""

    def after_one_step(halves: bool) -> list[torch.Tensor]:
        torch.manual_seed(2)
        agent = ActorCritic("compact", OBSERVATION, CONTINUOUS).eval()
        agent.stateful = not halves
        images = torch.randint(0, 255, (4, 15, 24, 40, 1), dtype=torch.uint8)
        rewards = torch.randn(4, 15)
        with torch.no_grad():
            policy, value = agent(images.flatten(0, 1))
            action = policy.sample(torch.Generator().manual_seed(1))
        shape = lambda x: x.reshape(4, 15, *x.shape[1:])  # noqa: E731
        dones = torch.zeros(4, 15, dtype=torch.bool)
        rollout = Rollout(
            images, shape(action), shape(policy.log_prob(action)), shape(value), rewards, dones, torch.zeros(15)
        )
        settings = replace(SETTINGS, batch_size=64, num_epochs=1)
        optimizer = torch.optim.SGD(agent.parameters(), lr=0.1)
        PPO(agent, optimizer, settings, torch.Generator().manual_seed(0)).update(rollout)
        return [parameter.detach() for parameter in agent.parameters()]

    for ours, whole in zip(after_one_step(True), after_one_step(False), strict=True):
        torch.testing.assert_close(ours, whole, atol=1e-6, rtol=1e-5)
