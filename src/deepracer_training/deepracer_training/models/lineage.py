"""Where models come from: each clone remembers its parent, and all of them together make a tree."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepracer_inference.config import StrictModel, parse, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text, write_atomic
from deepracer_training.models.changes import Change
from deepracer_training.models.folder import ModelFolder, model_names

logger = logging.getLogger(__name__)

LINEAGE = "lineage.json"


class Origin(StrictModel):
    """The parent's checkpoint that a clone starts from."""

    chosen: str
    """`last`, or `best` and by what, such as `best by progress`."""
    update: int
    steps: int
    sha256: str


class Lineage(StrictModel):
    """What a clone remembers; saved as `lineage.json` in its folder."""

    format: Literal[1] = 1
    parent: str
    parent_deleted: bool = False
    """Set when the parent goes, so that a new model of that name is not taken for it."""
    created: str
    """UTC, ISO 8601."""
    checkpoint: Origin | None
    """None for a clone that starts with fresh weights."""
    changes: tuple[Change, ...]
    """Settings of model.yaml, and `reward_function` with the SHA-256 of both."""
    reuse: tuple[str, ...]
    """What became of each part of the parent's network."""

    def change_lines(self) -> list[str]:
        """Return what differs from the parent, a line each."""
        kind = [change for change in self.changes if change.key == "action_space.kind"]
        lines = [
            "reward function" if change.key == "reward_function" else str(change)
            for change in self.changes
            # Of two kinds of action space every key differs.
            if not (kind and change.key.startswith("action_space."))
        ]
        return [*lines, *(f"action_space {change.before} -> {change.after}" for change in kind)]

    @classmethod
    def read(cls, folder: ModelFolder) -> Lineage | None:
        """Return a model's lineage; None if it is no clone.

        Raises:
            UserError: The file is damaged.
        """
        path = folder.path / LINEAGE
        return parse(parse_json(read_text(path), str(path)), cls, str(path)) if path.is_file() else None

    def write(self, folder: Path) -> None:
        """Write the file into a model's folder."""
        write_atomic(folder / LINEAGE, self.model_dump_json(indent=1) + "\n")


@dataclass
class Ancestor:
    """A model in the tree, with the clones that were made from it."""

    name: str
    exists: bool
    lineage: Lineage | None
    children: list[Ancestor] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        return {
            "model": self.name,
            "exists": self.exists,
            "lineage": self.lineage.model_dump(mode="json") if self.lineage else None,
            "children": [child.as_json() for child in self.children],
        }

    def names(self) -> set[str]:
        """Return the names of this model and of all its descendants."""
        return {self.name}.union(*(child.names() for child in self.children))


def family_trees() -> list[Ancestor]:
    """Return all models as trees, parents above their clones, each level sorted by name.

    A parent that was deleted still stands above its clones, marked as missing. A model whose lineage file is damaged
    stands alone, with a warning: it does not hide the others.
    """
    nodes = {folder.name: Ancestor(folder.name, True, lineage) for folder, lineage in _lineages()}
    gone: dict[str, Ancestor] = {}
    roots = []
    for name, node in nodes.items():
        lineage = node.lineage
        if lineage is None:
            roots.append(node)
        elif lineage.parent in nodes and not lineage.parent_deleted and not _descends(nodes, lineage.parent, name):
            nodes[lineage.parent].children.append(node)
        else:
            gone.setdefault(lineage.parent, Ancestor(lineage.parent, False, None)).children.append(node)
    return sorted([*roots, *gone.values()], key=lambda node: node.name)


def rename_parent(old: str, new: str) -> None:
    """Tell all clones of a model its new name."""
    for folder, lineage in _children(old):
        lineage.model_copy(update={"parent": new}).write(folder.path)


def orphan(name: str) -> list[str]:
    """Tell all clones of a model that it is gone; returns their names."""
    children = _children(name)
    for folder, lineage in children:
        lineage.model_copy(update={"parent_deleted": True}).write(folder.path)
    return [folder.name for folder, _ in children]


def _children(name: str) -> list[tuple[ModelFolder, Lineage]]:
    return [
        (folder, lineage)
        for folder, lineage in _lineages()
        if lineage and lineage.parent == name and not lineage.parent_deleted
    ]


def _lineages() -> list[tuple[ModelFolder, Lineage | None]]:
    found: list[tuple[ModelFolder, Lineage | None]] = []
    for folder in map(ModelFolder.open, model_names()):
        try:
            found.append((folder, Lineage.read(folder)))
        except UserError as error:  # one model's damage is no reason to leave another one half renamed or deleted
            logger.warning("The lineage of %s is unknown: %s", folder.name, error)
            found.append((folder, None))
    return found


def _descends(nodes: dict[str, Ancestor], name: str, ancestor: str) -> bool:
    """Tell whether a model is the ancestor's descendant, which only a lineage edited by hand can make a circle."""
    seen: set[str] = set()
    while name in nodes and name not in seen:
        if name == ancestor:
            return True
        seen.add(name)
        lineage = nodes[name].lineage
        if lineage is None or lineage.parent_deleted:
            return False
        name = lineage.parent
    return name in seen
