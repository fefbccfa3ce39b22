"""Our own reward functions as starting points."""

from __future__ import annotations

from pathlib import Path

from deepracer_inference.config import nearest
from deepracer_inference.errors import UserError

DEFAULT_EXAMPLE = "progress"
"""For a first model."""

_FOLDER = Path(__file__).parent / "examples"


def example_names() -> list[str]:
    """Names that `example_source` knows, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("[a-z]*.py"))


def example_path(name: str) -> Path:
    """Return the file of an example.

    Raises:
        UserError: There is no such example.
    """
    names = example_names()
    if name not in names:
        raise UserError(f"There is no reward function '{name}' to start from; {nearest(name, names)}")
    return _FOLDER / f"{name}.py"


def example_source(name: str) -> str:
    """Return the Python source of an example.

    Raises:
        UserError: There is no such example.
    """
    return example_path(name).read_text(encoding="utf-8")
