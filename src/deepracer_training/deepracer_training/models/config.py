"""The schema of `model.yaml`: everything that a training run depends on, besides the reward function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from deepracer_inference.action_space import (
    ActionSpace,
    ContinuousActionSpace,
    DiscreteAction,
    DiscreteActionSpace,
    Range,
)
from deepracer_inference.config import StrictModel, nearest, parse
from deepracer_inference.errors import UserError
from deepracer_inference.observation import ObservationSpec
from deepracer_sim.race_settings import RaceSettings, RaceType

Network = Literal[
    "compact",
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    "DEEP_CONVOLUTIONAL_NETWORK",
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP",
]
Preset = Literal["fast", "aws"]
Algorithm = Literal["clipped_ppo", "sac"]

# Smallest image side (px) that leaves one pixel after AWS's unpadded convolutions, e.g. SHALLOW with kernels 8, 4, 3
# and strides 4, 2, 1: 3 <- 8 <- 36; a test compares with the networks themselves.
SMALLEST_IMAGE_SIDE = {
    "compact": 16,
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": 36,
    "DEEP_CONVOLUTIONAL_NETWORK": 21,
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP": 76,
}

MIN_PPO_EPISODES = 5
"""In one update, by AWS's form."""

# The uint8 images of a rollout exist up to three times while they are put together: 256 MiB keeps training below 2 GB.
ROLLOUT_LIMIT_BYTES = 2**28
REPLAY_LIMIT_BYTES = 2**29


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
    """Settings of PPO and SAC with the names, defaults and ranges of DeepRacer on AWS (its form and `model.smithy`)."""

    batch_size: Annotated[
        int,
        one_of((32, 64, 128, 256, 512), "the minibatch sizes AWS offers; larger ones give steadier, rarer steps"),
    ] = Field(default=64, description="Samples in one gradient step.")
    num_epochs: Annotated[
        int,
        between(3, 10, "AWS's range; fewer passes waste experience, more overfit the policy to one rollout"),
    ] = Field(default=10, description="Passes over each rollout; PPO only.")
    lr: Annotated[
        float,
        between(
            1e-8, 1e-3, "AWS's range; above it PPO's updates tend to destroy the policy, below it nothing is learned"
        ),
    ] = Field(default=3e-4, description="Learning rate of Adam.")
    beta_entropy: Annotated[
        float,
        between(0.0, 1.0, "AWS's range; 0 means no bonus for exploring, 1 makes the policy close to random"),
    ] = Field(default=0.01, description="Weight of the entropy bonus in the loss; PPO only, SAC has sac_alpha.")
    discount_factor: Annotated[
        float,
        between(0.0, 1.0, "a discount; 0.99 looks about 100 steps ahead, and above 1 the return grows without bound"),
    ] = Field(default=0.99, description="Weight of the next step's reward against this step's.")
    loss_type: Annotated[Literal["huber", "mean squared error"], BeforeValidator(_spell_out_mse)] = Field(
        default="huber", description="Loss of the value function: huber, or mean squared error (mse for short)."
    )
    num_episodes_between_training: Annotated[
        int,
        between(1, 100, "AWS's range is 5 to 100 for PPO and 1 for SAC; more make updates rare"),
    ] = Field(default=20, description="Episodes per update; read by update_schedule `episodes` only.")
    sac_alpha: Annotated[
        float,
        between(0.0, 1.0, "AWS's range; what a nat of randomness is worth in units of reward, 0 never explores"),
    ] = Field(default=0.2, description="Weight of the entropy against the reward; SAC only.")


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
    lr_schedule: Literal["constant", "linear"] = Field(
        default="constant",
        description="constant: hyperparameters.lr all the time; linear: falling from it to a twentieth of it over the "
        "budget of each training, so that the policy comes to rest.",
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
    replay_size: Annotated[
        int, between(1000, 10_000_000, "fewer transitions are the last minute only; memory bounds it above")
    ] = Field(default=50_000, description="Newest transitions that SAC learns from.")
    replay_ratio: Annotated[
        float, between(0.1, 256.0, "below it experience is wasted, above it the critics overfit and nothing else runs")
    ] = Field(default=8.0, description="How often SAC learns from each transition, on average.")
    warmup_steps: Annotated[
        int, between(100, 1_000_000, "SAC needs a few episodes to begin with; random driving alone teaches little")
    ] = Field(default=2000, description="Steps of all cars that SAC drives at random before it learns.")
    target_rate: Annotated[float, between(1e-4, 1.0, "AWS fixes 0.005; 1 would have the critics chase themselves")] = (
        Field(default=0.01, description="Share of the way that SAC's slow critics follow in each gradient step.")
    )
    seed: Annotated[int, between(0, 2**32 - 1, "seeds are unsigned 32-bit numbers")] = Field(
        default=0, description="Seed of everything random in training; `--seed` overrides it."
    )


class ModelConfig(StrictModel):
    """Everything in `model.yaml`."""

    name: str = Field(description="The model's name; the name of its folder wins when a folder was copied.")
    track: str = Field(description="Track to train on: library name (with _cw or _ccw), own track, or .npy file.")
    vehicle: str = Field(default="deepracer", description="Built-in vehicle name, or path of a vehicle YAML file.")
    race_type: RaceType = Field(
        default="time_trial", description="Kind of race to train for: time_trial, object_avoidance or head_to_head."
    )
    race: RaceSettings | None = Field(default=None, description="What else is on the road; null in a time trial.")
    action_space: ActionSpace = Field(description="What the policy may command, in degrees and m/s as on AWS.")
    training_algorithm: Algorithm = Field(
        default="clipped_ppo", description="clipped_ppo, or sac for continuous action spaces."
    )
    network: Network = Field(default="compact", description="Convolutional network: ours, or one of AWS's three.")
    observation: ObservationSpec = Field(default=ObservationSpec(), description="What the network sees.")
    hyperparameters: Hyperparameters = Field(default=Hyperparameters(), description="AWS's settings of the algorithm.")
    training: TrainingConfig = Field(default=TrainingConfig(), description="Our own trainer settings.")

    @model_validator(mode="after")
    def _race_fits_type(self) -> ModelConfig:
        if self.race is None:
            # AWS's boxes or bot cars where model.yaml names the race type alone.
            object.__setattr__(self, "race", RaceSettings.for_type(self.race_type))
        wanted = {"object_avoidance": "boxes", "head_to_head": "bots"}.get(self.race_type)
        given = [key for key in ("boxes", "bots") if self.race is not None and getattr(self.race, key) is not None]
        if given != ([wanted] if wanted else []) or (self.race is not None and wanted is None):
            there = " and ".join(f"race.{key}" for key in given) or "race without boxes or bots"
            expected = f"race.{wanted} and nothing else" if wanted else "no race section (race: null)"
            raise ValueError(f"race_type is {self.race_type}, which takes {expected}, but there is {there}")
        return self

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
    def _algorithm_fits(self) -> ModelConfig:
        episodes = self.hyperparameters.num_episodes_between_training
        if self.training_algorithm == "clipped_ppo" and episodes < MIN_PPO_EPISODES:
            raise ValueError(
                f"hyperparameters.num_episodes_between_training: {episodes} is not between {MIN_PPO_EPISODES} and 100: "
                "AWS's range for clipped_ppo; fewer episodes make a noisy update"
            )
        if self.training_algorithm == "sac" and self.action_space.kind != "continuous":
            raise ValueError(
                "training_algorithm sac needs a continuous action space, as on AWS, but action_space is discrete; "
                "take training_algorithm: clipped_ppo, or an action_space of kind: continuous"
            )
        if self.training_algorithm == "sac" and self.training.warmup_steps > self.training.replay_size:
            raise ValueError(
                f"training.warmup_steps is {self.training.warmup_steps}, but only the newest "
                f"{self.training.replay_size} steps are kept; raise training.replay_size"
            )
        memory = 2 * self.training.replay_size * self.observation.size_bytes
        if self.training_algorithm == "sac" and memory > REPLAY_LIMIT_BYTES:
            raise ValueError(
                f"training.replay_size of {self.training.replay_size} transitions between observations of "
                f"{self.observation.width} x {self.observation.height} pixels takes {memory / 2**20:.0f} MiB, more "
                f"than the {REPLAY_LIMIT_BYTES / 2**20:.0f} MiB allowed: lower it, or the observation's size"
            )
        return self

    @model_validator(mode="after")
    def _rollout_fits(self) -> ModelConfig:
        training = self.training
        if training.update_schedule != "fixed_horizon" or self.training_algorithm == "sac":
            return self
        samples = training.cars * training.horizon_steps
        batch = self.hyperparameters.batch_size
        if samples < batch:
            raise ValueError(
                f"one rollout of {training.cars} cars x {training.horizon_steps} horizon_steps has {samples} samples, "
                f"fewer than one batch_size of {batch}: raise training.cars or training.horizon_steps, or lower "
                "hyperparameters.batch_size"
            )
        size = samples * self.observation.size_bytes
        if size > ROLLOUT_LIMIT_BYTES:
            raise ValueError(
                f"one rollout of {samples} observations of {self.observation.width} x {self.observation.height} pixels "
                f"takes {size / 2**20:.0f} MiB, more than the {ROLLOUT_LIMIT_BYTES / 2**20:.0f} MiB allowed: lower "
                "training.cars, training.horizon_steps or the observation's size"
            )
        return self


def continuous_action_space() -> ContinuousActionSpace:
    """Return our default: steering -25..25 degrees, speed 1..2 m/s."""
    return ContinuousActionSpace(steering_angle=Range(low=-25.0, high=25.0), speed=Range(low=1.0, high=2.0))


def race_action_space() -> ContinuousActionSpace:
    """Return our default among objects: full steering, and speeds at which a box can still be avoided."""
    return ContinuousActionSpace(steering_angle=Range(low=-30.0, high=30.0), speed=Range(low=0.5, high=1.0))


def discrete_action_space() -> DiscreteActionSpace:
    """Return the five actions that deepracer-for-cloud starts with: -30..30 degrees at 0.6 m/s."""
    angles = (-30.0, -15.0, 0.0, 15.0, 30.0)
    return DiscreteActionSpace(actions=tuple(DiscreteAction(steering_angle=angle, speed=0.6) for angle in angles))


ACTION_SPACES: dict[str, Callable[[], ActionSpace]] = {
    "continuous": continuous_action_space,
    "discrete": discrete_action_space,
}


FAST_RACE_TRAINING: dict[str, Any] = {"log_std_init": -1.0, "horizon_steps": 128, "lr_schedule": "linear"}
"""Among objects the car has to be steered to a hand's breadth: with the noise of -0.5 a policy that passes a box hits
it anyway every other time, and learns nothing of it. And meetings are rare and go differently: updates on less than
eight thousand steps forget as much as they learn."""

FAST_PPO = Hyperparameters(batch_size=512, num_epochs=4, lr=1e-3, beta_entropy=0.005, discount_factor=0.97)
FAST_RACE_PPO = Hyperparameters(batch_size=512, num_epochs=4, lr=7e-4, beta_entropy=0.001, discount_factor=0.97)
FAST_SAC = Hyperparameters(
    batch_size=256,
    lr=1e-3,
    discount_factor=0.97,
    loss_type="mean squared error",
    num_episodes_between_training=1,
    sac_alpha=0.02,
)
AWS_SAC = Hyperparameters(loss_type="mean squared error", num_episodes_between_training=1)
AWS_SAC_TRAINING: dict[str, Any] = {"cars": 4, "replay_size": 4000, "target_rate": 0.005}
"""AWS updates after each episode of its one car. Its images are large: so many transitions fit with all cameras."""


def default_sensors(race_type: RaceType) -> tuple[str, ...]:
    """Return what a car needs: among other cars also a lidar, as what it passes is out of the camera's sight."""
    return ("FRONT_FACING_CAMERA", "LIDAR") if race_type == "head_to_head" else ("FRONT_FACING_CAMERA",)


def preset_config(
    preset: str,
    *,
    name: str,
    track: str,
    action_space: ActionSpace | None = None,
    race_type: RaceType = "time_trial",
    race: RaceSettings | None = None,
    algorithm: Algorithm = "clipped_ppo",
    sensors: Sequence[str] = (),
    seed: int = 0,
) -> ModelConfig:
    """Return a complete configuration to start from.

    Args:
        preset: `fast`, tuned to lap after a minute on two CPU cores, or `aws`, which follows DeepRacer on AWS in image,
            network, hyperparameters, update schedule and start positions.
        name: Name of the model.
        track: Name or path of the track.
        action_space: What the policy may command; `continuous_action_space()` when omitted.
        race_type: Kind of race.
        race: What is on the road; AWS's settings of the race type when omitted.
        algorithm: `clipped_ppo` or `sac`.
        sensors: AWS's names; `default_sensors` when omitted.
        seed: Seed of the training.

    Raises:
        UserError: There is no such preset or algorithm, or the sensors or the action space do not fit.
    """
    alone = race_type == "time_trial"
    space = action_space or (continuous_action_space() if alone else race_action_space())
    if algorithm not in get_args(Algorithm):
        raise UserError(
            f"There is no training algorithm {algorithm!r}; {nearest(algorithm, get_args(Algorithm))} "
            f"Choose one of {', '.join(get_args(Algorithm))}."
        )
    is_sac = algorithm == "sac"
    if is_sac and space.kind != "continuous":
        raise UserError("The training algorithm sac needs a continuous action space, but a discrete one was given.")
    size = (
        {"width": 40, "height": 24, "crop_top": 0.2}
        if preset == "fast"
        else {"width": 160, "height": 120, "crop_top": 0.0}
    )
    names = list(sensors or default_sensors(race_type))
    observation = parse({**size, "sensors": names}, ObservationSpec, "observation")
    if preset == "fast":
        return ModelConfig(
            name=name,
            track=track,
            race_type=race_type,
            race=race,
            action_space=space,
            training_algorithm=algorithm,
            network="compact",
            observation=observation,
            hyperparameters=FAST_SAC if is_sac else FAST_PPO if alone else FAST_RACE_PPO,
            training=TrainingConfig(seed=seed, **({} if alone else FAST_RACE_TRAINING)),
        )
    if preset == "aws":
        return ModelConfig(
            name=name,
            track=track,
            race_type=race_type,
            race=race,
            action_space=space,
            training_algorithm=algorithm,
            network="DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
            observation=observation,
            hyperparameters=AWS_SAC if is_sac else Hyperparameters(),
            training=TrainingConfig(
                update_schedule="episodes", start="round_robin", seed=seed, **(AWS_SAC_TRAINING if is_sac else {})
            ),
        )
    raise UserError(f"There is no preset {preset!r}; choose `fast` or `aws`.")
