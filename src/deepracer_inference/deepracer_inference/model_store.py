"""The models on a car: installed from archives, one of them selected, and a way back to the one before."""

from __future__ import annotations

import os
import re
from pathlib import Path

from deepracer_inference.config import StrictModel, dump_yaml, load_yaml, nearest
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import atomic_directory, home
from deepracer_inference.model_archive import NAME_PATTERN, VEHICLE, read_model_archive
from deepracer_inference.policy_file import PolicyFile, load_policy
from deepracer_inference.vehicle import Vehicle, load_vehicle

_ID_PATTERN = re.compile(NAME_PATTERN + r"@[0-9a-f]{8}")


class Selection(StrictModel):
    """`selection.yaml`: which model drives, and which one did before."""

    current: str | None = None
    previous: str | None = None


class ModelStore:
    """The folder of a car's models.

    Each stands in `<name>@<8 digits of its checksum>/` with `policy/` and `vehicle.yaml`. A newer version of a model
    comes to stand beside the old one, so the way back is always there; a folder never changes once it is there.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Look at the models in `root`; `$DEEPRACER_HOME/car/models` when omitted. The folder need not exist yet."""
        self.root = root or home() / "car" / "models"

    def models(self) -> list[str]:
        """Return the identifiers of all models, the newest of each name last."""
        try:
            found = [(entry.stat().st_mtime_ns, entry.name) for entry in self.root.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DeepRacerError(f"Cannot read the models in {self.root}: {error.strerror}") from error
        found = [each for each in found if _ID_PATTERN.fullmatch(each[1])]
        return [name for _, name in sorted(found, key=lambda each: (each[1].split("@")[0], each))]

    def install(self, archive: Path) -> str:
        """Unpack and verify a model's archive; it is not selected yet.

        Returns:
            The model's identifier, `<name>@<checksum>`.

        Raises:
            UserError: The archive is not one of a model, was changed, or its policy fails a check of `load_policy`.
            DeepRacerError: The disk refuses.
        """
        content = read_model_archive(archive)
        identifier = f"{content.name}@{content.digest[:8]}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeepRacerError(f"Cannot create the folder {self.root}: {error.strerror}") from error
        with atomic_directory(self.root / identifier) as staging:
            (staging / "policy").mkdir()
            for name, data in content.files.items():
                (staging / name).write_bytes(data)
            load_policy(staging / "policy")
        return identifier

    def find(self, name: str) -> str:
        """Return the identifier of a model: itself, or that of the newest version of a name.

        Raises:
            UserError: There is no such model on this car.
        """
        known = self.models()
        matching = [each for each in known if name in (each, each.split("@")[0])]
        if matching:
            return matching[-1]
        hint = nearest(name, known) if known else "there are none yet; `deepracer deploy` brings one"
        raise UserError(f"There is no model {name!r} in {self.root}; {hint}")

    def policy(self, name: str | None = None) -> PolicyFile:
        """Load and verify a model's policy; the selected one's when `name` is omitted.

        Raises:
            UserError: There is no such model, none is selected, or the policy was changed.
        """
        return load_policy(self.root / self._identifier(name) / "policy")

    def trained_with(self, name: str | None = None) -> Vehicle:
        """Return the vehicle that a model was trained with; the selected one's when `name` is omitted."""
        return load_vehicle(self.root / self._identifier(name) / VEHICLE)

    def select(self, name: str) -> str:
        """Make a model the one that drives, and return its identifier; whoever watches `current` loads it."""
        identifier, old = self.find(name), self._selection()
        if identifier != old.current:
            self._write(Selection(current=identifier, previous=old.current))
        return identifier

    def way_back(self) -> str:
        """Return the identifier of the model that drove before.

        Raises:
            UserError: There was none before, or it is no longer there.
        """
        previous = self.previous
        if previous is None:
            raise UserError("There is no model to go back to: no other one was selected before")
        if previous not in self.models():
            raise UserError(f"The model before, {previous}, is no longer in {self.root}")
        return previous

    @property
    def current(self) -> str | None:
        """Identifier of the selected model; a node that asks for it once a second sees every change."""
        return self._selection().current

    @property
    def previous(self) -> str | None:
        """Identifier of the model that was selected before."""
        return self._selection().previous

    def _identifier(self, name: str | None) -> str:
        if name is not None:
            return self.find(name)
        if (current := self.current) is None:
            raise UserError("No model is selected on this car; bring one with: deepracer deploy MODEL USER@CAR")
        return self.find(current)

    @property
    def _file(self) -> Path:
        return self.root.parent / "selection.yaml"

    def _selection(self) -> Selection:
        return load_yaml(self._file, Selection) if os.path.lexists(self._file) else Selection()

    def _write(self, selection: Selection) -> None:
        dump_yaml(selection, self._file)
