"""The layers: imports go down only, under installed names; and no file names somebody's machine."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What each layer may import beside the standard library: the layers below it, and these packages.
LAYERS = {
    "tracejit.ir": ({"tracejit.ir"}, {"numpy", "ml_dtypes"}),
    "tracejit.codegen": (
        {"tracejit.ir", "tracejit.codegen"},
        {"numpy", "ml_dtypes", "llvmlite", "numba"},
    ),
    "tracejit": (
        {"tracejit"},
        {"numpy", "ml_dtypes", "llvmlite", "numba", "optree", "rich", "safetensors"},
    ),
}
FOLDERS = {"ir": "tracejit.ir", "codegen": "tracejit.codegen", "tracejit": "tracejit"}
STANDARD = {"__future__", *sys.stdlib_module_names}
SKIPPED = {".git", ".venv", "build", "dist", "node_modules"}


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Every file of the project, once: links and what tools left behind are passed over."""
    for path in sorted(folder.iterdir()):
        hidden_cache = path.name.startswith(".") and path.name.endswith(("_cache", "hypothesis"))
        skipped = path.name in SKIPPED or path.name == "__pycache__" or hidden_cache
        if path.is_symlink() or skipped or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from files(path)
        else:
            yield path


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of each import in a module of `package` ("" for a script).

    `from a import b` gives `a.b`: b may be a module, and what holds for a then holds for a.b.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def violations(source: str, package: str) -> list[str]:
    """The imports that a module of `package` may not have."""
    found = []
    layer = next((layer for layer in LAYERS if within(package, layer)), None)
    for line, name in imported(source, package):
        top = name.split(".")[0]
        if top in ("ir", "codegen"):
            found.append(f"line {line}: {name}: import it as tracejit.{name}")
        elif layer is not None and top not in STANDARD:
            below, packages = LAYERS[layer]
            if top not in packages and not any(within(name, allowed) for allowed in below):
                found.append(f"line {line}: {layer} may not import {name}")
    return found


def package_of(path: Path) -> str:
    """The installed name of the package that a file of the three layers belongs to."""
    parts = path.relative_to(ROOT).parent.parts
    if not parts or parts[0] not in FOLDERS:
        return ""
    return ".".join([FOLDERS[parts[0]], *parts[1:]])


SOURCES = [path for path in files() if path.suffix == ".py"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), package_of(path)) == []


def uses_any(source: str) -> bool:
    """Whether a module writes `Any`, which switches the type checker off."""
    return any(
        isinstance(node, ast.Name | ast.Attribute | ast.alias)
        and "Any" in (getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", ""))
        for node in ast.walk(ast.parse(source))
    )


def test_the_lower_layers_write_no_any() -> None:
    lower = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("ir", "codegen")]
    assert lower
    assert [path for path in lower if uses_any(path.read_text(encoding="utf-8"))] == []


def test_a_planted_any_is_found() -> None:
    assert uses_any("from typing import Any")
    assert uses_any("import typing\nx: typing.Any = 1")
    assert not uses_any("x = any([Anything])")


def test_every_layer_is_read() -> None:
    packages = {package_of(path) for path in SOURCES}
    assert {"tracejit.ir", "tracejit.codegen", "tracejit"} <= packages


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("tracejit.ir", "import tracejit.codegen.nest"),
        ("tracejit.ir", "import tracejit"),
        ("tracejit.ir", "from tracejit import codegen"),
        ("tracejit.ir", "from tracejit import jit"),
        ("tracejit.ir.passes", "from ...codegen import nest"),
        ("tracejit.ir", "from .. import codegen"),
        ("tracejit.ir", "import llvmlite.binding"),
        ("tracejit.ir", "def f():\n    import numba"),
        ("tracejit.codegen", "from tracejit.jit import Jitted"),
        ("tracejit.codegen", "import optree"),
        ("tracejit.codegen.llvm", "from ... import jit"),
        ("tracejit", "import jax"),
        ("tracejit", "from ir import types"),
        ("tracejit.codegen", "import ir.types"),
        ("", "import codegen"),
    ],
)
def test_a_planted_violation_is_found(package: str, source: str) -> None:
    assert violations(source, package)


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("tracejit.ir", "from tracejit.ir.types import TensorType"),
        ("tracejit.ir.passes", "from ..types import TensorType"),
        ("tracejit.codegen", "from tracejit.ir import graph\nimport llvmlite.binding"),
        ("tracejit", "from .codegen import nest\nimport tracejit.ir.types as types\nimport optree"),
        ("", "import tracejit as tj\nimport torch"),
    ],
)
def test_what_the_layers_allow_is_allowed(package: str, source: str) -> None:
    assert violations(source, package) == []


# Written in pieces, so that this file is clean too.
OF_A_MACHINE = re.compile(
    "|".join(
        [
            r"(?<![\w.$}])/(?:work|root|opt)" + r"/[\w.]",
            r"(?<![\w.])/tmp" + r"/\w",
            r"pypi" + r"\.org|python" + r"hosted\.org|npm" + r"js\.org|deb\.debian" + r"\.org",
        ]
    )
)


@pytest.mark.parametrize(
    "text", ["'/work" + "/main'", "see /tmp" + "/x", "/root" + "/.cache", "https://pypi" + ".org/p"]
)
def test_a_planted_machine_path_is_found(text: str) -> None:
    assert OF_A_MACHINE.search(text)


def test_no_file_names_a_machine() -> None:
    """Neither a path of somebody's disk nor the host of a registry."""
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not text: the digits
        for number, line in enumerate(text.splitlines(), 1):
            if OF_A_MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def test_the_links_are_links() -> None:
    """A copy in their place would be a second copy of every class."""
    for layer in ("ir", "codegen"):
        link = ROOT / "tracejit" / layer
        if not link.exists():
            pytest.skip("an unpacked sdist has no links")
        assert link.resolve() == ROOT / layer
