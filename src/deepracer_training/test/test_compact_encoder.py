"""The compact network's compiled encoder against torch's own layers in float64."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from deepracer_inference.action_space import ActionSpace
from deepracer_inference.observation import ObservationSpec
from deepracer_training import compact_kernels, compact_ppo
from deepracer_training.models.config import continuous_action_space, discrete_action_space
from deepracer_training.networks import ARCHITECTURES, ActorCritic, Encoder, Gaussian
from deepracer_training.ppo_objective import Weights

needs_kernels = pytest.mark.skipif(not compact_kernels.worthwhile(), reason="this processor has no AVX-512")


def make(width: int = 40, height: int = 24, count: int = 5, seed: int = 0) -> tuple[Encoder, Tensor]:
    """Return an encoder with biases and images for it."""
    torch.manual_seed(seed)
    encoder = Encoder(ARCHITECTURES["compact"], ObservationSpec(width=width, height=height, crop_top=0.0))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return encoder, torch.randint(0, 256, (count, height, width, 1), dtype=torch.uint8)


def gradients(encoder: Encoder, features: Tensor) -> list[Tensor]:
    """Differentiate a sum of features with weights that differ from one to the next."""
    weights = torch.linspace(-1.0, 1.0, features.numel(), dtype=features.dtype).reshape(features.shape)
    return list(torch.autograd.grad((features * weights).sum(), list(encoder.parameters())))


def by_kernels(features: Tensor) -> bool:
    return type(features.grad_fn).__name__ == "_EncodeBackward"


@needs_kernels
@pytest.mark.parametrize(
    ("width", "height", "count"),
    [(40, 24, 1), (40, 24, 131), (16, 16, 5), (17, 33, 130), (61, 46, 7), (160, 120, 3)],
    ids=str,
)
def test_features_and_gradients_are_those_of_torch(width: int, height: int, count: int) -> None:
    encoder, images = make(width, height, count)
    exact = copy.deepcopy(encoder).double()
    features, expected = encoder.encode(images), exact.encode(images)
    assert by_kernels(features)
    assert expected.dtype == torch.float64
    for ours, theirs in zip(
        [features, *gradients(encoder, features)], [expected, *gradients(exact, expected)], strict=True
    ):
        assert ours.is_contiguous()
        torch.testing.assert_close(ours.double(), theirs, rtol=0.0, atol=1e-5 * float(theirs.detach().abs().max()))
    with torch.no_grad():
        assert encoder.encode(images).equal(features)


@needs_kernels
def test_an_image_gives_the_same_bits_in_any_company() -> None:
    encoder, images = make(count=140)
    features = encoder.encode(images).detach()
    with torch.no_grad():
        assert torch.cat([encoder.encode(image) for image in images.split(9)]).equal(features)
        strided = images.transpose(1, 2).contiguous().transpose(1, 2)
        assert encoder.encode(strided[::3]).equal(features[::3])
    nothing = encoder.encode(images[:0])
    assert nothing.shape == (0, 128)
    assert not any(gradient.any() for gradient in gradients(encoder, nothing))


@needs_kernels
def test_equal_minibatches_give_equal_bits_in_several_threads_and_with_several_graphs_alive() -> None:
    encoders, batches = zip(*(make(count=140, seed=seed) for seed in range(2)), strict=True)

    def alone(which: int) -> list[Tensor]:
        return gradients(encoders[which], encoders[which].encode(batches[which]))

    expected = [alone(0), alone(1)]
    graphs = [encoder.encode(images) for encoder, images in zip(encoders, batches, strict=True)]
    interleaved = [gradients(encoder, graph) for encoder, graph in zip(encoders, graphs, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        parallel = list(pool.map(alone, [0, 1] * 10))
    for n, found in enumerate([*interleaved, *parallel]):
        assert all(a.equal(b) for a, b in zip(found, expected[n % 2], strict=True))


@needs_kernels
def test_what_is_not_a_number_stays_so() -> None:
    """Or a diverged training would go on unnoticed."""
    for name, _ in make()[0].named_parameters():
        encoder, images = make()
        parameter = encoder.get_parameter(name)
        with torch.no_grad():
            parameter.view(-1)[0] = float("nan")
            inference = encoder.encode(images)
        features = encoder.encode(images)
        reference = copy.deepcopy(encoder).double()
        expected = reference.encode(images)
        for ours, theirs in zip(
            [inference, features, *gradients(encoder, features)],
            [expected, expected, *gradients(reference, expected)],
            strict=True,
        ):
            scale = float(theirs.detach().nan_to_num(0.0).abs().max())
            torch.testing.assert_close(ours.double(), theirs, rtol=0.0, atol=1e-5 * scale, equal_nan=True)
        assert features.isnan().any(), name


@needs_kernels
def test_memory_that_is_used_again_is_not_differentiated_twice() -> None:
    encoder, images = make()
    total = encoder.encode(images).sum()
    total.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    with pytest.raises(RuntimeError, match="only once"):
        total.backward()  # type: ignore[no-untyped-call]


@needs_kernels
def test_bfloat16_is_left_to_torch() -> None:
    encoder, images = make()
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder.encode(images).dtype == torch.bfloat16
    assert encoder.to(torch.bfloat16).encode(images).dtype == torch.bfloat16


@needs_kernels
@pytest.mark.parametrize("count", [5, 300])
@pytest.mark.parametrize("space", [continuous_action_space(), discrete_action_space()], ids=["continuous", "discrete"])
def test_the_gradient_of_ppo_is_that_of_torch(space: ActionSpace, count: int) -> None:
    torch.manual_seed(4)
    agent = ActorCritic("compact", ObservationSpec(width=40, height=24), space)
    images, weights = make(count=count)[1], Weights(1.0 / count, 0.2, 0.5, 0.01, True)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        if agent.log_std is not None:
            agent.log_std[1] = 0.9  # beyond its bounds: it cannot be moved from there
        policy, value = agent(images)
        actions = policy.sample(torch.Generator().manual_seed(0))
        columns = [actions, policy.log_prob(actions) + 0.2 * torch.randn(count), torch.randn(count), torch.randn(count)]
    terms = compact_ppo.differentiate(agent, [images, *columns], weights)
    found = {name: parameter.grad for name, parameter in agent.named_parameters()}

    exact = copy.deepcopy(agent).double()
    policy, value = exact(images)
    ratio = (policy.log_prob(actions) - columns[1]).exp()
    gain = torch.min(ratio * columns[2], ratio.clamp(0.8, 1.2) * columns[2]).mean()
    loss = torch.nn.functional.smooth_l1_loss(value, columns[3].double())
    by_torch = (
        torch.distributions.Normal(policy.mean, policy.log_std.exp())
        if isinstance(policy, Gaussian)
        else torch.distributions.Categorical(logits=policy.log_probs)
    )
    entropy = by_torch.entropy().sum() / count
    (-gain + 0.5 * loss - 0.01 * entropy).backward()  # type: ignore[no-untyped-call]
    assert terms[:3].tolist() == pytest.approx([-gain.item(), loss.item(), entropy.item()], rel=1e-4)
    for name, parameter in exact.named_parameters():
        assert parameter.grad is not None
        ours = found[name]
        assert ours is not None
        assert ours.is_contiguous()
        scale = float(parameter.grad.abs().max())
        assert scale > 0.0
        torch.testing.assert_close(ours.double(), parameter.grad, rtol=0.0, atol=1e-4 * scale)


def test_without_avx_512_torch_goes_on_with_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, images = make(count=20)
    monkeypatch.setattr(compact_kernels, "worthwhile", lambda: False)
    other = make(count=20, seed=1)[0]
    other.load_state_dict(encoder.state_dict())
    features = other.encode(images)
    assert not by_kernels(features)
    torch.testing.assert_close(features, encoder.encode(images), rtol=1e-4, atol=1e-5)


def test_numba_decides_about_vectors_and_keeps_kernels_where_those_of_the_simulator_are() -> None:
    program = """
from deepracer_training import compact_encoder, compact_kernels
print(compact_kernels.worthwhile(), compact_kernels.forward._cache.cache_path)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment["NUMBA_CPU_NAME"] = "generic"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    worthwhile, path = done.stdout.split(maxsplit=1)
    assert worthwhile == "False"
    assert "deepracer/kernels-" in path
