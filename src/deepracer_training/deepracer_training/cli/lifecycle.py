"""Commands for what happens to whole models: `clone`, `lineage`, `rename`, `delete`, `backup`, `restore`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepracer_inference.errors import UserError
from deepracer_training.cli.models import (
    ModelArgument,
    ask_to_replace,
    place_of,
    read_action_space,
    read_reward,
)
from deepracer_training.cli.output import JsonFlag, console, print_facts, print_json

if TYPE_CHECKING:
    from rich.tree import Tree

    from deepracer_training.models.config import ModelConfig
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.models.lineage import Ancestor, Lineage


def clone(
    model: ModelArgument,
    name: Annotated[str, typer.Argument(metavar="NEW", help="Name of the clone.")],
    start: Annotated[
        str,
        typer.Option("--from", metavar="best|last|none", help="Checkpoint to start from; none for fresh weights."),
    ] = "best",
    by: Annotated[
        str, typer.Option(metavar="progress|reward|lap_time", help="What makes a checkpoint the best one.")
    ] = "progress",
    track: Annotated[str | None, typer.Option(help="Another track to train on.")] = None,
    reward: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Another reward function: an example, or a Python file.")
    ] = None,
    action_space: Annotated[
        str | None,
        typer.Option(metavar="continuous|discrete|FILE|JSON", help="Another action space, as for `create`."),
    ] = None,
    race_type: Annotated[
        str | None,
        typer.Option(
            metavar="time_trial|object_avoidance|head_to_head", help="Another race type, with AWS's boxes or bot cars."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value of a key of model.yaml; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Another seed of the training.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a model of this name and all of its training, after asking.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --replace: do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a model from another one, with its weights, settings and reward function, each changed at will."""
    from deepracer_sim.tracks.library import load_track
    from deepracer_training.models.folder import ModelFolder, check_name

    check_name(name)
    if start not in ("best", "last", "none"):
        raise UserError(f"--from is {start!r}, but best, last or none is expected.")
    parent = ModelFolder.open(model)
    config = _changed(parent.config, track, action_space, race_type, settings or [], seed)
    source = None if reward is None else read_reward(reward, load_track(config.track), config.race)
    if replace and not force:
        ask_to_replace(name)
    from deepracer_training.cloning import clone as run

    made = run(parent, name, config=config, reward_source=source, start=start, by=by, replace=replace)  # type: ignore[arg-type]
    lineage = made.lineage
    if as_json:
        print_json(
            {
                "model": name,
                "path": str(made.folder.path),
                "policy": str(made.folder.policy) if made.folder.policy.is_dir() else None,
                "lineage": lineage.model_dump(mode="json"),
                "config": made.folder.config.model_dump(mode="json"),
            }
        )
        return
    typer.echo(f"Cloned {model} as {name} in {made.folder.path}")
    print_facts(_clone_facts(made.folder, lineage))
    typer.echo(f"Next: deepracer train {name} --minutes 2")


def lineage(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only the family of this model.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which model was cloned from which, and what was changed."""
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.models.lineage import family_trees

    roots = family_trees()
    if model is not None:
        name = ModelFolder.open(model).name
        roots = [root for root in roots if name in root.names()]
    if as_json:
        print_json([root.as_json() for root in roots])
        return
    if not roots:
        typer.echo("There are no models yet; make one with: deepracer create NAME")
    for root in roots:
        console().print(_tree(root, model))


def rename(
    model: ModelArgument,
    name: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    as_json: JsonFlag = False,
) -> None:
    """Give a model another name."""
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.models.keeping import rename_model

    folder = rename_model(ModelFolder.open(model), name)
    if as_json:
        print_json({"model": name, "path": str(folder.path), "before": model})
        return
    typer.echo(f"{model} is {name} now, in {folder.path}")


def delete(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names of the models.")],
    force: Annotated[bool, typer.Option("--force", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove models with all of their training and evaluations, after asking."""
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.models.keeping import delete_model

    folders = [ModelFolder.open(name) for name in dict.fromkeys(models)]
    if not force:
        _ask_to_delete(folders)
    clones = {folder.name: delete_model(folder) for folder in folders}
    if as_json:
        print_json({"deleted": [{"model": name, "clones": left} for name, left in clones.items()]})
        return
    for name, left in clones.items():
        typer.echo(f"Removed {name}" + (f"; its clones stay: {', '.join(left)}" if left else ""))


def backup(
    model: ModelArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Archive to write; MODEL.tar.gz here when omitted.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write all of a model (settings, reward function, training, policy, evaluations) into one archive."""
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.models.keeping import backup_model

    folder = ModelFolder.open(model)
    target = (output or Path(f"{model}.tar.gz")).expanduser().absolute()
    count = backup_model(folder, target)
    size = target.stat().st_size
    if as_json:
        print_json({"model": model, "archive": str(target), "files": count, "bytes": size})
        return
    typer.echo(f"Wrote {count} files, {size / 1e6:.1f} MB, to {target}")
    typer.echo(f"To bring it back: deepracer restore {target}")


def restore(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="Archive that `backup` wrote.")],
    name: Annotated[str | None, typer.Option(help="Another name for the model.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring a model back from its archive."""
    from deepracer_training.models.keeping import restore_model

    folder = restore_model(archive.expanduser(), name)
    if as_json:
        print_json({"model": folder.name, "path": str(folder.path)})
        return
    typer.echo(f"Restored {folder.name} in {folder.path}")


def _changed(
    config: ModelConfig,
    track: str | None,
    action_space: str | None,
    race_type: str | None,
    settings: list[str],
    seed: int | None,
) -> ModelConfig:
    """Return a configuration with what the options change, checked as a whole."""
    from deepracer_inference.config import parse
    from deepracer_sim.tracks.library import load_track
    from deepracer_training.models.changes import apply_settings
    from deepracer_training.models.config import ModelConfig

    data = config.model_dump(mode="json")
    if track is not None:
        data["track"] = place_of(track)
    if action_space is not None:
        data["action_space"] = read_action_space(action_space).model_dump(mode="json")
    if race_type is not None and race_type != config.race_type:
        data |= {"race_type": race_type, "race": None}
    if seed is not None:
        data["training"]["seed"] = seed
    changed = parse(data, ModelConfig, "the clone's settings")
    changed = apply_settings(changed, settings) if settings else changed
    load_track(changed.track)
    return changed


def _clone_facts(folder: ModelFolder, lineage: Lineage) -> dict[str, object]:
    origin = lineage.checkpoint
    facts: dict[str, object] = {"changed": "nothing"} if not lineage.changes else {}
    for position, line in enumerate(lineage.change_lines()):
        facts["changed" if not position else " " * position] = line
    weights = "fresh" if origin is None else f"{origin.chosen}, update {origin.update} after {origin.steps:,} steps"
    facts["weights"] = weights
    for line in lineage.reuse:
        part, _, text = line.partition(": ")
        facts[f"  {part}"] = text
    facts["policy"] = folder.policy if folder.policy.is_dir() else "none yet"
    return facts | {"settings": folder.config_path, "reward function": folder.reward}


def _tree(node: Ancestor, marked: str | None, tree: Tree | None = None) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    style = "bold" if node.name == marked else "" if node.exists else "dim"
    label = Text(node.name if node.exists else f"{node.name} (deleted)", style=style)
    if node.lineage:
        origin = node.lineage.checkpoint
        start = "fresh weights" if origin is None else f"{origin.chosen}, {origin.steps:,} steps"
        changes = ", ".join(node.lineage.change_lines()) or "nothing changed"
        label.append(f"  from {start}; {changes}", style="dim")
    branch = Tree(label) if tree is None else tree.add(label)
    for child in sorted(node.children, key=lambda child: child.name):
        _tree(child, marked, branch)
    return branch


def _ask_to_delete(folders: list[ModelFolder]) -> None:
    names = ", ".join(folder.name for folder in folders)
    if not sys.stdin.isatty():
        raise UserError(f"Add --force to remove {names} without being asked.")
    if not typer.confirm(f"Remove {names} with all training and evaluations?", err=True):
        raise typer.Exit(UserError.exit_code)
