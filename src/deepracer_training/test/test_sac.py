"""Soft actor-critic: the maths by hand, determinism, and a small world that must be solved."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from deepracer_inference.observation import ObservationSpec
from deepracer_training.sac import SAC, ReplayBuffer, SACSettings
from deepracer_training.sac_networks import SoftActorCritic, SquashedGaussian

OBSERVATION = ObservationSpec(width=40, height=24)
SETTINGS = SACSettings(
    batch_size=64,
    discount_factor=0.9,
    sac_alpha=0.05,
    target_rate=0.05,
    max_grad_norm=10.0,
    huber=False,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in training: torch's threads wait for each other by spinning, which takes minutes on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(seed: int = 0, settings: SACSettings = SETTINGS, lr: float = 1e-3) -> SAC:
    torch.manual_seed(seed)
    agent = SoftActorCritic("compact", OBSERVATION).eval()
    learning = [parameter for parameter in agent.parameters() if parameter.requires_grad]
    return SAC(agent, torch.optim.Adam(learning, lr=lr), settings, torch.Generator().manual_seed(seed))


def transitions(count: int, *, seed: int = 0, reward: float | None = None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 255, (2, count, 24, 40, 1), dtype=torch.uint8, generator=generator)
    rewards = torch.randn(count, generator=generator) if reward is None else torch.full((count,), reward)
    return {
        "now.image": images[0],
        "next.image": images[1],
        "action": 2.0 * torch.rand((count, 2), generator=generator) - 1.0,
        "reward": rewards,
        "goes_on": torch.ones(count),
    }


def filled(columns: dict[str, torch.Tensor]) -> ReplayBuffer:
    replay = ReplayBuffer(len(columns["reward"]))
    replay.add(columns)
    return replay


def test_squashed_gaussian_agrees_with_torch_distributions() -> None:
    mean, log_std = 2.0 * torch.randn(50, 2), torch.randn(50, 2)
    action, log_prob = SquashedGaussian(mean, log_std).sample_with_log_prob(torch.Generator().manual_seed(1))
    raw = mean + torch.randn(mean.shape, generator=torch.Generator().manual_seed(1)) * log_std.exp()
    theirs = torch.distributions.TransformedDistribution(
        torch.distributions.Normal(mean, log_std.exp()), [torch.distributions.TanhTransform(cache_size=1)]
    )
    expected = theirs.log_prob(theirs.transforms[0](raw)).sum(-1)
    torch.testing.assert_close(action, raw.tanh())
    torch.testing.assert_close(log_prob, expected, atol=1e-4, rtol=1e-4)


def test_the_buffer_keeps_the_newest_transitions() -> None:
    replay = ReplayBuffer(4)
    for first in (0, 3):
        replay.add({"reward": torch.arange(first, first + 3)})
    assert len(replay) == 4
    assert sorted(replay.columns["reward"].tolist()) == [2, 3, 4, 5]
    drawn = replay.sample(200, torch.Generator().manual_seed(0))["reward"]
    assert set(drawn.tolist()) == {2, 3, 4, 5}


@pytest.mark.parametrize(("goes_on", "value"), [(0.0, 1.0), (1.0, 2.0)])
def test_critics_learn_the_sum_of_discounted_rewards(goes_on: float, value: float) -> None:
    """Always 1: an episode that ends is worth 1, an endless one with a discount of 0.5 is worth 1 / (1 - 0.5)."""
    sac = make(settings=replace(SETTINGS, sac_alpha=0.0, discount_factor=0.5, target_rate=0.2))
    columns = transitions(64, reward=1.0) | {"goes_on": torch.full((64,), goes_on)}
    stats = sac.update(filled(columns), 150)
    assert stats.value_loss >= 0.0
    with torch.no_grad():
        features = sac.agent.features(columns["now.image"])
        learned = sac.agent.critics(features, columns["action"]).mean()
    assert float(learned) == pytest.approx(value, rel=0.1)


def test_solves_a_world_where_the_image_tells_the_right_action() -> None:
    """Bright images want 0.5 of both actions, dark ones -0.5; every action ends its episode."""
    sac = make(lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    bright = torch.rand(2000, generator=generator) < 0.5
    images = torch.where(bright, 200, 50).to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 24, 40, 1)
    wanted = torch.where(bright, 0.5, -0.5).unsqueeze(1)
    action = 2.0 * torch.rand((2000, 2), generator=generator) - 1.0
    columns = {
        "now.image": images,
        "next.image": images,
        "action": action,
        "reward": -(action - wanted).abs().sum(1),
        "goes_on": torch.zeros(2000),
    }

    def error() -> float:
        with torch.no_grad():
            return float((sac.agent.head(images[:200]) - wanted[:200]).abs().sum(1).mean())

    before = error()
    sac.update(filled(columns), 300)
    assert error() < 0.35 < 0.8 < before


def test_a_worthier_entropy_makes_the_policy_more_random() -> None:
    entropies = [
        make(settings=replace(SETTINGS, sac_alpha=alpha)).update(filled(transitions(256)), 150).entropy
        for alpha in (0.0, 1.0)
    ]
    assert entropies[1] > entropies[0] + 0.5


def test_the_actor_trains_neither_encoder_nor_critics() -> None:
    """With rewards and bootstraps that the critics predict already there is only the actor's gradient left."""
    sac = make(lr=1e-2, settings=replace(SETTINGS, sac_alpha=1.0))
    before = copy.deepcopy(sac.agent)
    columns = transitions(64)
    with torch.no_grad():
        # Both critics equal: then their own target, without a bootstrap, is met exactly.
        sac.agent.critics.heads[1].load_state_dict(sac.agent.critics.heads[0].state_dict())
        before.load_state_dict(sac.agent.state_dict())
        values = sac.agent.critics(sac.agent.features(columns["now.image"]), columns["action"])[0]
    sac.update(filled(columns | {"reward": values, "goes_on": torch.zeros(64)}), 1)
    moved = {
        name
        for (name, old), new in zip(before.named_parameters(), sac.agent.parameters(), strict=True)
        if old.requires_grad and not torch.allclose(old, new, atol=1e-4)
    }
    assert moved == {name for name, _ in before.named_parameters() if name.startswith("actor.")}


def test_the_slow_critics_follow_by_the_target_rate() -> None:
    sac = make(settings=replace(SETTINGS, target_rate=0.25))
    slow = sac.agent.target["critics"].state_dict()["heads.0.0.weight"].clone()
    sac.update(filled(transitions(64)), 1)
    fast = sac.agent.critics.state_dict()["heads.0.0.weight"]
    followed = sac.agent.target["critics"].state_dict()["heads.0.0.weight"]
    torch.testing.assert_close(followed, slow + 0.25 * (fast - slow))
    assert not torch.equal(fast, slow)


def test_same_seed_gives_identical_weights_and_statistics() -> None:
    first, second, third = make(3), make(3), make(4)
    stats = [sac.update(filled(transitions(128)), 5) for sac in (first, second, third)]
    assert stats[0] == stats[1] != stats[2]
    for ours, theirs in zip(first.agent.parameters(), second.agent.parameters(), strict=True):
        assert torch.equal(ours, theirs)
