"""The terms of a reward: what a function returns or prints besides the sum, for pictures of what it is made of."""

from __future__ import annotations

import ast
import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real

Terms = dict[str, float]

LOGGER = "deepracer_training.rewards.function"
"""Where the `print` of reward functions goes."""

_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*[:=]\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])")


def split(returned: object) -> tuple[object, Terms]:
    """Separate the reward from its terms.

    Args:
        returned: A reward, or a pair of a reward and a dictionary of named numbers.

    Returns:
        The reward as it was given, and its terms, if there were any.
    """
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], Mapping):
        return returned[0], _numbers(returned[1])
    return returned, {}


def in_text(text: str) -> Terms:
    """Find named numbers in what a function printed: a dictionary, or any number of `name: 1.5` and `name=1.5`."""
    for line in text.splitlines():
        begin, end = line.find("{"), line.rfind("}")
        if 0 <= begin < end:
            try:
                value = ast.literal_eval(line[begin : end + 1])
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(value, Mapping):
                return _numbers(value)
    return {name: float(value) for name, value in _PAIR.findall(text)}


@contextmanager
def captured() -> Iterator[list[str]]:
    """Collect what reward functions print and log meanwhile; the list can be cleared between two calls."""
    texts: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    collector, root, printed = Collector(), logging.getLogger(), logging.getLogger(LOGGER)
    levels = root.level, printed.level
    # A function that logs uses the root logger or one of its own below it.
    root.addHandler(collector)
    root.setLevel(logging.INFO)
    printed.setLevel(logging.DEBUG)
    try:
        yield texts
    finally:
        root.removeHandler(collector)
        root.setLevel(levels[0])
        printed.setLevel(levels[1])


def _numbers(values: Mapping[object, object]) -> Terms:
    named = {str(name): float(value) for name, value in values.items() if isinstance(value, Real)}
    return {name: value for name, value in named.items() if math.isfinite(value)}
