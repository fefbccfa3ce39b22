"""The user's reward function: a Python file that runs as it is, and clear words when it does not."""

from __future__ import annotations

import difflib
import inspect
import json
import logging
import math
import random
import reprlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text, write_atomic
from deepracer_training.rewards import terms
from deepracer_training.rewards.params import Params

LOG = logging.getLogger(__name__)

REWARD_LIMIT = 1e5
"""AWS ends a training whose reward is beyond this, either way."""


class RewardError(UserError):
    """The reward function cannot be loaded, failed, or returned something useless.

    Attributes:
        kind: What went wrong, one word: `syntax`, `signature`, `no_number`, `not_finite`, `out_of_range`, or the name
            of the exception that the function raised.
        text: The message without file and line.
        line: In the user's file, if it is known.
        params: What the function was called with, if it was.
    """

    def __init__(self, path: Path, text: str, *, kind: str, line: int | None = None, params: Params | None = None):
        """Compose the message `path:line: text`."""
        super().__init__(f"{path}:{line}: {text}" if line is not None else f"{path}: {text}")
        self.path, self.text, self.kind, self.line, self.params = path, text, kind, line, params

    def save_failed_step(self, path: Path) -> None:
        """Write what the function was called with, and the error, as JSON, to be looked at and replayed.

        Raises:
            DeepRacerError: The file cannot be written.
        """
        step = {"reward_function": str(self.path), "line": self.line, "error": self.text, "params": self.params}
        # Only a function that puts foreign objects into its own params can make `default` necessary.
        write_atomic(path, json.dumps(step, indent=2, default=repr) + "\n")


class RewardFunction:
    """Calls `reward_function(params)` of the user's file, for any number of cars.

    AWS runs one car per process, and functions that remember something from step to step in globals rely on that. So
    the file is executed once for every car, each time with globals of its own.

    Random numbers: `random` and `numpy.random`'s global generator are seeded when the file is loaded and are left to
    the function from then on (nothing else here draws from them), so equal seeds give equal rewards.

    `print` goes to the log, level debug; it would tear up the progress bar.
    """

    def __init__(self, path: Path, source: str, code: CodeType) -> None:
        """Take compiled source; use `load`."""
        self.path = path
        self.source = source
        self._code = code
        self._functions: list[Callable[[Params], Any]] = []
        self._copy_for(0)

    @classmethod
    def load(cls, path: Path | str, *, seed: int = 0) -> RewardFunction:
        """Read a reward function and run its top level.

        Args:
            path: Python file that defines `reward_function(params)`.
            seed: Of the global random generators.

        Raises:
            UserError: The file cannot be read.
            RewardError: It is no Python, fails when it is loaded, or has no `reward_function` with one argument.
        """
        path = Path(path)
        source = read_text(path)
        try:
            code = compile(source, str(path), "exec", dont_inherit=True)
        except SyntaxError as error:
            text = f"{error.msg}{_quoted((error.text or '').strip())}"
            raise RewardError(path, text, kind="syntax", line=error.lineno) from error
        except ValueError as error:
            raise RewardError(path, f"not a Python file: {error}", kind="syntax") from error
        random.seed(seed)
        np.random.seed(seed % 2**32)
        return cls(path, source, code)

    def fresh(self) -> RewardFunction:
        """Return the same function with nothing remembered, for another environment."""
        return RewardFunction(self.path, self.source, self._code)

    def __call__(self, params: Params, car: int) -> float:
        """Compute the reward of one step of one car.

        Args:
            params: As from `RewardInputs.params`; the function may change them.
            car: Whose globals the function sees.

        Raises:
            RewardError: The function failed or returned no number within +-`REWARD_LIMIT`.
        """
        given = params.copy()
        reward = self._run(params, car, given)
        if type(reward) is float and -REWARD_LIMIT <= reward <= REWARD_LIMIT:
            return reward
        return self.check(reward, given)

    def call(self, params: Params, car: int) -> object:
        """Return whatever the user's function returns; else as `__call__`."""
        return self._run(params, car, params.copy())

    def _run(self, params: Params, car: int, given: Params) -> object:
        try:
            function = self._functions[car]
        except IndexError:
            function = self._copy_for(car)
        try:
            return function(params)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._error(error, given) from error

    def check(self, reward: object, params: Params) -> float:
        """Turn what the function returned for `params` into a number; a pair `(reward, terms)` is one, too.

        Raises:
            RewardError: It is none, or out of range.
        """
        reward, _ = terms.split(reward)
        if reward is None:
            text = "reward_function returned nothing; each way through it must end with `return` and a number"
            raise self._refusal("no_number", text, params)
        try:
            if isinstance(reward, str | bytes):
                raise TypeError
            value = float(reward)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            given = f"{reprlib.repr(reward)}, of type {type(reward).__name__}"
            text = f"reward_function returned {given}, but a number is expected"
            raise self._refusal("no_number", text, params) from None
        except OverflowError:  # an integer of hundreds of digits
            text = f"reward_function returned {reprlib.repr(reward)}, but AWS allows -100000 to 100000 only"
            raise self._refusal("out_of_range", text, params) from None
        if not math.isfinite(value):
            text = f"reward_function returned {value}, but a finite number is expected"
            raise self._refusal("not_finite", text, params)
        if abs(value) > REWARD_LIMIT:
            text = f"reward_function returned {value:g}, but AWS allows -100000 to 100000 only"
            raise self._refusal("out_of_range", text, params)
        return value

    def _copy_for(self, car: int) -> Callable[[Params], Any]:
        """Execute the file once more until the car has globals of its own."""
        while len(self._functions) <= car:
            # Dataclasses and pickle look up the module of a class by name.
            module = ModuleType(f"_reward_function_{len(self._functions)}")
            sys.modules[module.__name__] = module
            module.__file__ = str(self.path)
            vars(module)["print"] = _print_to_log
            try:
                exec(self._code, vars(module))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise self._error(error, None) from error
            self._functions.append(self._entry(module))
        return self._functions[car]

    def _entry(self, module: ModuleType) -> Callable[[Params], Any]:
        function = vars(module).get("reward_function")
        if not callable(function):
            names = [name for name, value in vars(module).items() if callable(value)]
            near = difflib.get_close_matches("reward_function", names, n=1)
            hint = f"; is `{near[0]}` meant?" if near else ""
            raise RewardError(self.path, f"there is no `def reward_function(params):`{hint}", kind="signature")
        try:
            inspect.signature(function).bind({})
        except TypeError:
            text = f"it is called with one argument, but is defined as `reward_function{inspect.signature(function)}`"
            raise RewardError(self.path, text, kind="signature", line=_first_line(function)) from None
        except ValueError:
            LOG.debug("%s: the signature of reward_function cannot be told before it is called", self.path)
        return function

    def _error(self, error: BaseException, params: Params | None) -> RewardError:
        """Describe an exception in the user's file by the deepest of the user's own lines."""
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.path)]
        line = own[-1].lineno if own else None
        kind = type(error).__name__
        text = " ".join("".join(traceback.format_exception_only(error)).split())
        if isinstance(error, SystemExit):
            text = "it ends the whole program; a reward function has to return a number"
        if isinstance(error, KeyError) and params is not None and error.args and isinstance(error.args[0], str):
            near = difflib.get_close_matches(error.args[0], params, n=1)
            text += f"; did you mean '{near[0]}'?" if near and error.args[0] not in params else ""
        source = self.source.splitlines()
        text += _quoted(source[line - 1].strip() if line is not None and line <= len(source) else "")
        return RewardError(self.path, text, kind=kind, line=line, params=params)

    def _refusal(self, kind: str, text: str, params: Params) -> RewardError:
        return RewardError(self.path, text, kind=kind, line=_first_line(self._functions[0]), params=params)


def _print_to_log(*values: object, sep: str | None = None, end: str | None = None, file: Any = None, **_: Any) -> None:
    if file not in (None, sys.stdout):
        print(*values, sep=sep, end=end, file=file)
    elif LOG.isEnabledFor(logging.DEBUG):
        LOG.debug("%s", (" " if sep is None else sep).join(str(value) for value in values))


def _first_line(function: Callable[..., Any]) -> int | None:
    code = getattr(function, "__code__", None)
    return code.co_firstlineno if code is not None else None


def _quoted(source: str) -> str:
    shown = source if len(source) <= 100 else f"{source[:97]}..."
    return f", in `{shown}`" if source else ""
