"""The workspace: what gets installed, what may import what, and that all lists of dependencies agree."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOWER = ("deepracer_inference", "deepracer_sim", "deepracer_training", "deepracer_bringup")
"""From the ground up: a package may import those before it."""


def source_files(package: str) -> set[str]:
    folder = ROOT / "src" / package / package
    return {
        str(path.relative_to(folder.parent))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def imports(package: str) -> dict[str, str]:
    """Return the distributions that a package imports, besides Python's own library, each with a file that does so.

    In `nodes/` and in the package of the launch files, ROS packages count only if package.xml does not declare them;
    elsewhere the core must not import them.
    """
    distributions = {
        "annotated_types": "annotated-types",
        "cv2": "opencv-python-headless",
        "PIL": "pillow",
        "yaml": "pyyaml",
    }
    declared = {element.text for element in package_xml(package).iter("exec_depend")}
    found: dict[str, str] = {}
    for file in sorted(source_files(package)):
        if file.endswith(".py"):
            tree = ast.parse((ROOT / "src" / package / file).read_text(encoding="utf-8"))
            nodes = list(ast.walk(tree))
            names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
            names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
            tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
            if "nodes" in Path(file).parts or package == "deepracer_bringup":
                tops -= declared
            found |= {distributions.get(name, name): file for name in tops}
    return found


def package_xml(package: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / "src" / package / "package.xml").getroot()


@pytest.fixture(scope="module", params=TOWER)
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, set[str]]:
    """Build a package the way `pip install ./src/<package>` does and return its name and the files in the wheel."""
    package: str = request.param
    folder = tmp_path_factory.mktemp(package)
    # A copy, because building leaves files beside setup.py.
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "test")
    source = shutil.copytree(ROOT / "src" / package, folder / package, ignore=ignored)
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return package, set(archive.namelist())


def test_a_wheel_holds_every_file_of_the_package(wheel: tuple[str, set[str]]) -> None:
    package, files = wheel
    assert source_files(package) - files == set()


def test_an_installation_is_an_ament_prefix(wheel: tuple[str, set[str]]) -> None:
    package, files = wheel
    data = f"{package}-0.1.0.data/data/share"
    assert f"{data}/ament_index/resource_index/packages/{package}" in files
    assert f"{data}/{package}/package.xml" in files


@pytest.mark.parametrize("package", TOWER)
def test_package_xml_and_setup_py_agree(package: str) -> None:
    root = package_xml(package)
    setup = (ROOT / "src" / package / "setup.py").read_text(encoding="utf-8")
    assert root.findtext("name") == package
    assert f'version="{root.findtext("version")}"' in setup
    assert f'description="{root.findtext("description")}"' in setup
    assert root.findtext("export/build_type") == "ament_python"
    floors = {element.text for element in root.iter("exec_depend")} & set(TOWER)
    assert floors == {floor for floor in TOWER if f'"{floor}",' in setup and floor != package}


@pytest.mark.parametrize("package", TOWER)
def test_a_package_imports_only_floors_below_it_and_what_it_declares(package: str) -> None:
    setup = ast.parse((ROOT / "src" / package / "setup.py").read_text(encoding="utf-8"))
    declared = {
        re.split(r"[<>=]", text)[0]
        for node in ast.walk(setup)
        if isinstance(node, ast.keyword) and node.arg in ("install_requires", "extras_require")
        for value in [ast.literal_eval(node.value)]
        for text in (value if isinstance(value, list) else [each for extra in value.values() for each in extra])
    }
    allowed = {*declared, package}
    assert allowed & set(TOWER) <= set(TOWER[: TOWER.index(package) + 1])
    assert {name: file for name, file in imports(package).items() if name not in allowed} == {}


def test_every_dependency_is_pinned() -> None:
    pins = {
        re.split(r"==", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    wanted = set(
        re.findall(r"^TOOLS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[0].lower().split()
    )
    for package in TOWER:
        setup = (ROOT / "src" / package / "setup.py").read_text(encoding="utf-8")
        listed = re.search(r"install_requires=\[(.*?)\]", setup, re.S)
        assert listed
        wanted |= {re.split(r"[<>=]", text)[0].lower() for text in re.findall(r'"(.+?)"', listed[1])}
    assert wanted - pins - set(TOWER) == set()


def test_every_make_target_has_its_help() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: (.+)$", text, re.M)
    targets = {name for line in phony for name in line.split() if not name.startswith("$")}
    assert {"setup", "demo", "test", "lint", "bench", "clean", "help"} <= targets
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert targets == set(re.findall(r"^  make (\w+)", done.stdout, re.M))
