"""A model's folder on disk: one place for its paths, its creation and its lock."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from deepracer_inference.config import dump_yaml, load_yaml, nearest
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import atomic_directory, home, read_text, write_atomic
from deepracer_training.models.changes import edit_config_text
from deepracer_training.models.config import ModelConfig

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def model_names() -> list[str]:
    """Return the names of all models, sorted."""
    models = home() / "models"
    try:
        found = sorted(entry.name for entry in models.iterdir() if (entry / "model.yaml").is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DeepRacerError(f"Cannot read the model folder {models}: {error.strerror}.") from error
    return [name for name in found if NAME_PATTERN.fullmatch(name)]


def check_name(name: str) -> str:
    """Return `name` when it can name a model, else raise UserError."""
    if not NAME_PATTERN.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a model: use up to 64 letters, digits, `_`, `-` and `.`, the first one a letter or "
            "a digit."
        )
    return name


@dataclass(frozen=True)
class ModelFolder:
    """The folder `$DEEPRACER_HOME/models/<name>/` of an existing model."""

    path: Path

    @classmethod
    def create(
        cls,
        name: str,
        config: ModelConfig,
        reward_source: str,
        *,
        replace: bool = False,
        fill: Callable[[ModelFolder], None] | None = None,
        template: tuple[str, ModelConfig] | None = None,
    ) -> ModelFolder:
        """Create a model: all of it, or nothing.

        Args:
            name: Name of the model.
            config: What goes into `model.yaml`.
            reward_source: Python source of the reward function.
            replace: Whether a model of this name may be replaced, with all of its training and evaluations.
            fill: Adds more files to the folder while it is being built, under another name.
            template: Text of another model's `model.yaml`, whose comments stay, and what it says.

        Raises:
            UserError: The name is not allowed, or taken.
            DeepRacerError: The folder cannot be written, or the model to replace is being trained.
        """
        with reserve(name, replace=replace) as path:
            old = cls(path)
            with old.lock() if (old.training / ".lock").exists() else nullcontext(), atomic_directory(path) as building:
                _write_config(building / "model.yaml", config.model_copy(update={"name": name}), template)
                write_atomic(building / "reward_function.py", reward_source)
                make_directory(building / "training")
                write_atomic(building / "training" / ".lock", "")
                if fill is not None:
                    fill(cls(building))
        return cls(path)

    @classmethod
    def open(cls, name: str) -> ModelFolder:
        """Return the folder of an existing model, or raise UserError naming the nearest one."""
        path = home() / "models" / check_name(name)
        if (path / "model.yaml").is_file():
            return cls(path)
        if path.is_dir():
            raise UserError(f"{path} is not a model: its model.yaml is missing.")
        names = model_names()
        hint = nearest(name, names) if names else "there are none yet, `deepracer create` makes one"
        raise UserError(f"There is no model {name!r} in {path.parent}; {hint}")

    @property
    def name(self) -> str:
        """The model's name, which is the folder's."""
        return self.path.name

    @property
    def config_path(self) -> Path:
        """`model.yaml`."""
        return self.path / "model.yaml"

    @property
    def config(self) -> ModelConfig:
        """The checked content of `model.yaml`; read anew on each access."""
        return load_yaml(self.config_path, ModelConfig).model_copy(update={"name": self.name})

    def set_config(self, config: ModelConfig) -> None:
        """Change `model.yaml`; what stays as it is keeps the user's comments and notation.

        Raises:
            UserError: The file has been broken since it was read.
            DeepRacerError: It cannot be written.
        """
        template = read_text(self.config_path), load_yaml(self.config_path, ModelConfig)
        _write_config(self.config_path, config.model_copy(update={"name": self.name}), template)

    @property
    def reward(self) -> Path:
        """The user's reward function, a Python file."""
        return self.path / "reward_function.py"

    @property
    def pretrained(self) -> Path:
        """Of a clone: the parent's checkpoint that a new training starts from; absent otherwise."""
        return self.path / "pretrained.safetensors"

    @property
    def training(self) -> Path:
        """Everything that training writes, apart from the policy."""
        return self.path / "training"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints, `<number>.safetensors` each."""
        return self.training / "checkpoints"

    @property
    def replay(self) -> Path:
        """Of SAC: the replay buffer that belongs to the last checkpoint."""
        return self.training / "replay"

    @property
    def metrics_jsonl(self) -> Path:
        """Training metrics, one JSON object per update."""
        return self.training / "metrics.jsonl"

    @property
    def history(self) -> Path:
        """Each call of `train` and what had been changed before it."""
        return self.training / "history.json"

    @property
    def aws_metrics(self) -> Path:
        """Training metrics in AWS's JSON format."""
        return self.training / "metrics.json"

    @property
    def simtrace(self) -> Path:
        """Traces of training episodes in AWS's CSV format."""
        return self.training / "training-simtrace"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.training / "tensorboard"

    @property
    def policy(self) -> Path:
        """The exported policy file (a folder)."""
        return self.path / "policy"

    @property
    def evaluations(self) -> Path:
        """One folder per evaluation."""
        return self.path / "evaluations"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the model for one trainer; the operating system lets go of it when the process dies.

        Raises:
            DeepRacerError: Another process trains the model, or the folder cannot be written.
        """
        make_directory(self.training)
        message = f"Model {self.name!r} is being trained by another process; wait for it or stop it (Ctrl-C there)."
        with locked(self.training / ".lock", message):
            yield


def _write_config(path: Path, config: ModelConfig, template: tuple[str, ModelConfig] | None) -> None:
    if template is None:
        dump_yaml(config, path)
        return
    write_atomic(path, edit_config_text(*template, config))


@contextmanager
def reserve(name: str, *, replace: bool = False) -> Iterator[Path]:
    """Hold the right to make a model of a name; yields the path of its folder.

    Raises:
        UserError: The name is not allowed, or taken.
        DeepRacerError: The models' folder cannot be written, or another command is making a model.
    """
    path = home() / "models" / check_name(name)
    make_directory(path.parent)
    # Two creations at once must not both find the name free.
    with locked(path.parent / ".lock", f"Another command is creating a model in {path.parent}; try again."):
        if os.path.lexists(path) and not replace:
            raise UserError(f"A model named {name!r} exists in {path.parent}; choose another name.")
        yield path


@contextmanager
def locked(path: Path, message: str) -> Iterator[None]:
    """Hold an exclusive lock on a file, or raise DeepRacerError with `message` when someone else holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DeepRacerError(f"Cannot write {path}: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise DeepRacerError(message) from error
            raise DeepRacerError(f"Cannot lock {path}: {error.strerror}.") from error
        yield
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a folder and those above it, unless they are there; else raise DeepRacerError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeepRacerError(f"Cannot create the folder {path}: {error.strerror}.") from error
