"""What `validate` says about a reward function."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """One thing to mend (error) or to know (warning)."""

    severity: Literal["error", "warning"]
    code: str
    """One word for programs, such as `syntax`, `KeyError`, `not_finite`, `too_slow`, `aws_import`."""
    message: str
    """One sentence for people."""
    line: int | None = None
    """In the user's file."""
    situation: str | None = None
    """The first one in which it happened."""
    situations: int = 0
    """In how many it happened."""


@dataclass(frozen=True)
class ValidationReport:
    """All findings about one file, and how it behaved."""

    path: Path
    findings: tuple[Finding, ...]
    calls: int = 0
    """How many situations the function was called with."""
    reward_min: float | None = None
    reward_max: float | None = None
    call_median_s: float | None = None
    """Time of one call; None if there was none that returned."""
    call_max_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether training may start: no errors."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        """What has to be mended."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """What is good to know."""
        return [finding for finding in self.findings if finding.severity == "warning"]

    def lines(self) -> list[str]:
        """Put each finding into one line, `file:line: severity: message`, errors first."""
        return [self._line(finding) for finding in self.errors + self.warnings]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return {
            "path": str(self.path),
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
            "calls": self.calls,
            "reward_min": self.reward_min,
            "reward_max": self.reward_max,
            "call_median_s": self.call_median_s,
            "call_max_s": self.call_max_s,
        }

    def _line(self, finding: Finding) -> str:
        place = f"{self.path}:{finding.line}" if finding.line is not None else str(self.path)
        where = f" ({finding.situation}" if finding.situation else ""
        if finding.situation:
            others = finding.situations - 1
            where += f", and {others} other situation{'s' if others > 1 else ''})" if others > 0 else ")"
        return f"{place}: {finding.severity}: {finding.message}{where}"
