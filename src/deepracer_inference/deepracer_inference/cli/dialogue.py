"""The wizard's questions on a terminal."""

from __future__ import annotations

import sys

import typer

from deepracer_inference.errors import UserError


class TerminalDialogue:
    """Asks line by line, so that it works over ssh; an answer that cannot be is asked for again."""

    def say(self, text: str) -> None:
        """Tell something."""
        typer.echo(text)

    def confirm(self, key: str, text: str) -> bool:
        """Ask for yes or no."""
        while True:
            answer = self._ask(f"{text} [y/n] ").lower()
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")
            self.say("Please answer y or n.")

    def number(self, key: str, text: str, low: float, high: float) -> float:
        """Ask for a number within two ends."""
        while True:
            answer = self._ask(f"{text}: ")
            try:
                value = float(answer.replace(",", "."))
            except ValueError:
                self.say(f"{answer!r} is not a number.")
                continue
            if low <= value <= high:
                return value
            self.say(f"{value:g} is not between {low:g} and {high:g}.")

    def change(self, key: str, text: str) -> int | None:
        """Ask by how many microseconds to change a pulse; None when it is right."""
        while True:
            answer = self._ask(f"{text} Enter if so, or a change in us (+10, -3): ")
            if not answer:
                return None
            try:
                return int(answer)
            except ValueError:
                self.say(f"{answer!r} is not a whole number of microseconds.")

    def _ask(self, text: str) -> str:
        typer.echo(text, nl=False)
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            raise UserError("The calibration was ended before its last question; nothing has been saved")
        return line.strip()
