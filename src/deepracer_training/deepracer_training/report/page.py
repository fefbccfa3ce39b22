"""HTML pages from the templates beside this file: everything inside, nothing to fetch."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Fill in a template; text is escaped unless it is `Markup`, and a value that is missing is an error."""
    environment = Environment(
        loader=PackageLoader("deepracer_training", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
