"""The wheel and the sdist hold every module once, under its installed name, and import."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {"tracejit": "tracejit", "ir": "tracejit/ir", "codegen": "tracejit/codegen"}
BUILD = "from setuptools import build_meta; build_meta.build_{kind}({folder!r})"


def modules(root: Path = ROOT) -> set[str]:
    """The installed path of every module in the three folders, links left out."""
    found = set()
    for folder, installed in LAYERS.items():
        for parent, folders, names in os.walk(root / folder, followlinks=False):
            folders[:] = [name for name in folders if name != "__pycache__"]
            below = Path(parent).relative_to(root / folder).as_posix()
            found |= {
                PurePosixPath(installed, below, name).as_posix()
                for name in names
                if name.endswith(".py")
            }
    return found


def build(kind: str, tree: Path, folder: Path) -> Path:
    """Builds a wheel or an sdist of `tree` without isolation; returns the one file it makes."""
    command = [sys.executable, "-c", BUILD.format(kind=kind, folder=str(folder))]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


def wheel_modules(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith(".py")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the build reads, links and all: building leaves files beside the sources."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for folder in LAYERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", tree, tmp_path_factory.mktemp("sdist"))


def test_wheel_holds_every_module_once(tree: Path, wheel: Path) -> None:
    packed = wheel_modules(wheel)
    assert sorted(packed) == sorted(modules(tree))


def test_wheel_has_type_marker_licence_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "tracejit = tracejit.cli:main" in archive.read(points).decode()
    assert "tracejit/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert len(names) == len(set(names))
    assert not [name for name in names if "/tracejit/ir" in name or "/tracejit/codegen" in name]
    (unpacked,) = tmp_path.iterdir()
    (tmp_path / "dist").mkdir()
    again = build("wheel", unpacked, tmp_path / "dist")
    assert sorted(wheel_modules(again)) == sorted(wheel_modules(wheel))


def import_names(paths: Iterable[str]) -> list[str]:
    return sorted(path[: -len(".py")].replace("/", ".").removesuffix(".__init__") for path in paths)


def test_wheel_imports_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Every module of the lower layers, and the package, from the unpacked wheel alone."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    lower = [
        name
        for name in import_names(wheel_modules(wheel))
        if name.startswith(("tracejit.ir", "tracejit.codegen")) and not name.endswith("__main__")
    ]
    code = (
        "import importlib, pathlib, sys, tracejit\n"
        "modules = [importlib.import_module(name) for name in sys.argv[2:]]\n"
        "for module in [tracejit, *modules]:\n"
        "    assert pathlib.Path(module.__file__).is_relative_to(sys.argv[1]), module.__file__\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(site), *lower],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_checkout_imports_under_installed_names() -> None:
    """Without installation: the links put both lower layers inside the package."""
    if not (ROOT / "tracejit" / "ir").exists():
        pytest.skip("an unpacked sdist has no links")
    code = "import tracejit.ir.types, tracejit.codegen; print(tracejit.__path__[0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert Path(done.stdout.strip()).resolve() == ROOT / "tracejit", done.stderr


def top_level_imports(source: str) -> set[str]:
    """The first parts of the absolute names that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def test_what_is_imported_is_declared() -> None:
    """Each third-party package that the sources import stands in `dependencies`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=~! ]", requirement)[0] for requirement in project["dependencies"]}
    imported: set[str] = set()
    for folder in LAYERS:
        for path in (ROOT / folder).rglob("*.py"):
            imported |= top_level_imports(path.read_text(encoding="utf-8"))
    third_party = imported - set(sys.stdlib_module_names) - {"tracejit"}
    assert third_party <= declared
