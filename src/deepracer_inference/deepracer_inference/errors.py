"""The two exceptions that reach a user as one clear message instead of a traceback."""

from __future__ import annotations


class DeepRacerError(Exception):
    """Something failed that is not the user's mistake: a full disk, a broken camera, a policy that returns NaN.

    The message is complete: what happened, where, and how to mend it. A command line prints it without a traceback and
    exits with `exit_code`.
    """

    exit_code = 1


class UserError(DeepRacerError):
    """The user's mistake: an unknown key, a missing file, a value out of range."""

    exit_code = 2
