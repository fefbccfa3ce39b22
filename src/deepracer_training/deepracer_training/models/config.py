"""The schema of `model.yaml`: everything that a training run depends on, besides the reward function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from deepracer_inference.action_space import (
    ActionSpace,
    ContinuousActionSpace,
    DiscreteAction,
    DiscreteActionSpace,
    Range,
)
from deepracer_inference.config import StrictModel
from deepracer_inference.errors import UserError
from deepracer_inference.observation import ObservationSpec

Network = Literal[
    "compact",
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    "DEEP_CONVOLUTIONAL_NETWORK",
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP",
]
Preset = Literal["fast", "aws"]

# Smallest image side (px) that leaves one pixel after AWS's unpadded convolutions, e.g. SHALLOW with kernels 8, 4, 3
# and strides 4, 2, 1: 3 <- 8 <- 36; a test compares with the networks themselves.
SMALLEST_IMAGE_SIDE = {
    "compact": 16,
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": 36,
    "DEEP_CONVOLUTIONAL_NETWORK": 21,
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP": 76,
}

# The uint8 images of a rollout exist up to three times while they are put together: 256 MiB keeps training below 2 GB.
ROLLOUT_LIMIT_BYTES = 2**28


def between(low: float, high: float, why: str) -> AfterValidator:
    """Return a validator that accepts `low <= value <= high` and otherwise explains the range."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"{value:,.10g} is not between {low:,.10g} and {high:,.10g}: {why}")
        return value

    return AfterValidator(check)


def one_of(choices: tuple[int, ...], why: str) -> AfterValidator:
    """Return a validator that accepts only `choices` and otherwise explains them."""

    def check(value: int) -> int:
        if value not in choices:
            raise ValueError(f"{value} is not one of {', '.join(map(str, choices))}: {why}")
        return value

    return AfterValidator(check)


def _spell_out_mse(value: object) -> object:
    return "mean squared error" if value == "mse" else value


class Hyperparameters(StrictModel):
    """PPO settings with the names, defaults and ranges of DeepRacer on AWS (its model form and `model.smithy`)."""

    batch_size: Annotated[
        int,
        one_of((32, 64, 128, 256, 512), "the minibatch sizes AWS offers; larger ones give steadier, rarer steps"),
    ] = Field(default=64, description="Samples in one gradient step.")
    num_epochs: Annotated[
        int,
        between(3, 10, "AWS's range; fewer passes waste experience, more overfit the policy to one rollout"),
    ] = Field(default=10, description="Passes over each rollout.")
    lr: Annotated[
        float,
        between(
            1e-8, 1e-3, "AWS's range; above it PPO's updates tend to destroy the policy, below it nothing is learned"
        ),
    ] = Field(default=3e-4, description="Learning rate of Adam.")
    beta_entropy: Annotated[
        float,
        between(0.0, 1.0, "AWS's range; 0 means no bonus for exploring, 1 makes the policy close to random"),
    ] = Field(default=0.01, description="Weight of the entropy bonus in the loss.")
    discount_factor: Annotated[
        float,
        between(0.0, 1.0, "a discount; 0.99 looks about 100 steps ahead, and above 1 the return grows without bound"),
    ] = Field(default=0.99, description="Weight of the next step's reward against this step's.")
    loss_type: Annotated[Literal["huber", "mean squared error"], BeforeValidator(_spell_out_mse)] = Field(
        default="huber", description="Loss of the value function: huber, or mean squared error (mse for short)."
    )
    num_episodes_between_training: Annotated[
        int,
        between(5, 100, "AWS's range for PPO; fewer episodes make a noisy update, more make updates rare"),
    ] = Field(default=20, description="Episodes per update; read by update_schedule `episodes` only.")


class TrainingConfig(StrictModel):
    """Settings of our own trainer that AWS has no name for, or keeps fixed."""

    cars: Annotated[
        int, between(2, 256, "fewer than 2 make the rollout one correlated drive, more than 256 gain no speed on a CPU")
    ] = Field(default=64, description="Cars that drive at the same time, each on a track of its own.")
    update_schedule: Literal["fixed_horizon", "episodes"] = Field(
        default="fixed_horizon",
        description="When to update: after horizon_steps of every car, or after num_episodes_between_training "
        "whole episodes as AWS does.",
    )
    horizon_steps: Annotated[
        int, between(8, 2048, "a rollout shorter than half a second says little, a longer one than 2 minutes is stale")
    ] = Field(default=32, description="Control periods per car and rollout; read by update_schedule `fixed_horizon`.")
    gae_lambda: Annotated[float, between(0.0, 1.0, "it weighs the value function against observed returns")] = Field(
        default=0.95, description="Lambda of generalised advantage estimation; AWS fixes 0.95."
    )
    clip_range: Annotated[
        float, between(0.01, 1.0, "0.2 is usual; it bounds how far one update may move the policy")
    ] = Field(default=0.2, description="PPO's clip epsilon; AWS fixes 0.2.")
    max_grad_norm: Annotated[
        float, between(0.01, 100.0, "it cuts rare huge gradients; 0.5 is usual, a huge value switches it off")
    ] = Field(default=0.5, description="Gradients are scaled down to this norm.")
    log_std_init: Annotated[
        float, between(-5.0, 1.0, "the action range is -1..1, so exp(1) is already blind and exp(-5) never explores")
    ] = Field(
        default=-0.5,
        description="Natural log of the initial standard deviation of continuous actions, in units of half the "
        "action range.",
    )
    value_coefficient: Annotated[
        float, between(0.0, 10.0, "it weighs the value loss against the policy loss on the network that they share")
    ] = Field(default=0.5, description="Weight of the value loss.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Number format of the network while training; auto takes bfloat16 where it was measured to be "
        "faster.",
    )
    start: Literal["random", "round_robin"] = Field(
        default="random",
        description="Where episodes start: anywhere on the centre line, or as on AWS 5 % of the lap further each time.",
    )
    max_episode_steps: Annotated[
        int, between(15, 100_000, "an episode lasts at least one second, and at most AWS's 100,000 steps")
    ] = Field(default=1000, description="Control periods after which an episode is cut off as `time_up`.")
    seed: Annotated[int, between(0, 2**32 - 1, "seeds are unsigned 32-bit numbers")] = Field(
        default=0, description="Seed of everything random in training; `--seed` overrides it."
    )


class ModelConfig(StrictModel):
    """Everything in `model.yaml`."""

    name: str = Field(description="The model's name; the name of its folder wins when a folder was copied.")
    track: str = Field(description="Track to train on: library name (with _cw or _ccw), own track, or .npy file.")
    vehicle: str = Field(default="deepracer", description="Built-in vehicle name, or path of a vehicle YAML file.")
    race_type: Literal["time_trial"] = Field(default="time_trial", description="Kind of race to train for.")
    action_space: ActionSpace = Field(description="What the policy may command, in degrees and m/s as on AWS.")
    network: Network = Field(default="compact", description="Convolutional network: ours, or one of AWS's three.")
    observation: ObservationSpec = Field(default=ObservationSpec(), description="What the network sees of a frame.")
    hyperparameters: Hyperparameters = Field(default=Hyperparameters(), description="AWS's PPO settings.")
    training: TrainingConfig = Field(default=TrainingConfig(), description="Our own trainer settings.")

    @model_validator(mode="after")
    def _network_fits_image(self) -> ModelConfig:
        smallest = SMALLEST_IMAGE_SIDE[self.network]
        width, height = self.observation.width, self.observation.height
        if min(width, height) < smallest:
            raise ValueError(
                f"network {self.network} needs an observation of at least {smallest} x {smallest} pixels, but "
                f"observation is {width} x {height}; enlarge it (AWS uses 160 x 120), or take a smaller network"
            )
        return self

    @model_validator(mode="after")
    def _rollout_fits(self) -> ModelConfig:
        training = self.training
        if training.update_schedule != "fixed_horizon":
            return self
        samples = training.cars * training.horizon_steps
        batch = self.hyperparameters.batch_size
        if samples < batch:
            raise ValueError(
                f"one rollout of {training.cars} cars x {training.horizon_steps} horizon_steps has {samples} samples, "
                f"fewer than one batch_size of {batch}: raise training.cars or training.horizon_steps, or lower "
                "hyperparameters.batch_size"
            )
        size = samples * self.observation.width * self.observation.height
        if size > ROLLOUT_LIMIT_BYTES:
            raise ValueError(
                f"one rollout of {samples} images of {self.observation.width} x {self.observation.height} pixels "
                f"takes {size / 2**20:.0f} MiB, more than the {ROLLOUT_LIMIT_BYTES / 2**20:.0f} MiB allowed: lower "
                "training.cars, training.horizon_steps or the observation's size"
            )
        return self


def continuous_action_space() -> ContinuousActionSpace:
    """Return our default: steering -25..25 degrees, speed 1..2 m/s."""
    return ContinuousActionSpace(steering_angle=Range(low=-25.0, high=25.0), speed=Range(low=1.0, high=2.0))


def discrete_action_space() -> DiscreteActionSpace:
    """Return the five actions that deepracer-for-cloud starts with: -30..30 degrees at 0.6 m/s."""
    angles = (-30.0, -15.0, 0.0, 15.0, 30.0)
    return DiscreteActionSpace(actions=tuple(DiscreteAction(steering_angle=angle, speed=0.6) for angle in angles))


ACTION_SPACES: dict[str, Callable[[], ActionSpace]] = {
    "continuous": continuous_action_space,
    "discrete": discrete_action_space,
}


def preset_config(
    preset: str, *, name: str, track: str, action_space: ActionSpace | None = None, seed: int = 0
) -> ModelConfig:
    """Return a complete configuration to start from.

    Args:
        preset: `fast`, tuned to lap after a minute on two CPU cores, or `aws`, which follows DeepRacer on AWS in image,
            network, hyperparameters, update schedule and start positions.
        name: Name of the model.
        track: Name or path of the track.
        action_space: What the policy may command; `continuous_action_space()` when omitted.
        seed: Seed of the training.

    Raises:
        UserError: There is no such preset.
    """
    space = action_space if action_space is not None else continuous_action_space()
    if preset == "fast":
        return ModelConfig(
            name=name,
            track=track,
            action_space=space,
            network="compact",
            observation=ObservationSpec(width=40, height=24, crop_top=0.2),
            hyperparameters=Hyperparameters(
                batch_size=512, num_epochs=4, lr=1e-3, beta_entropy=0.005, discount_factor=0.97
            ),
            training=TrainingConfig(seed=seed),
        )
    if preset == "aws":
        return ModelConfig(
            name=name,
            track=track,
            action_space=space,
            network="DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
            observation=ObservationSpec(width=160, height=120, crop_top=0.0),
            training=TrainingConfig(update_schedule="episodes", start="round_robin", seed=seed),
        )
    raise UserError(f"There is no preset {preset!r}; choose `fast` or `aws`.")
