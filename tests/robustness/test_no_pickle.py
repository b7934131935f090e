"""Nothing here unpickles: whoever can write a cache or a model file must not run code by it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("ir", "codegen", "tracejit", "examples", "benchmarks")

# Modules that make objects of bytes by running what the bytes say.
UNSAFE = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
# Keyword arguments that ask a library to do so: numpy.load's, and numba's, whose cache is pickled.
KEYWORDS = {"allow_pickle", "cache"}


def violations(source):
    """Lines that import a module that unpickles, or ask another to."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            asked = {k.arg for k in node.keywords if not is_false(k.value)} & KEYWORDS
            name = ast.unparse(node.func).split(".")[-1]
            if "allow_pickle" in asked or (asked and name in ("njit", "jit", "vectorize")):
                found.append(node.lineno)
            called = ast.unparse(node.func)
            if called in ("__import__", "importlib.import_module") and node.args:
                names = [ast.unparse(node.args[0]).strip("'\"")]
        if {name.split(".")[0] for name in names} & UNSAFE:
            found.append(node.lineno)
    return found


def is_false(node):
    return isinstance(node, ast.Constant) and not node.value


def sources():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(parent.is_symlink() for parent in path.parents):
                yield path


def test_no_source_unpickles():
    paths = list(sources())
    assert len(paths) > 80
    found = {path: violations(path.read_text(encoding="utf-8")) for path in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from pickle import loads",
        "import numpy.random, shelve as s",
        "np.load(p, allow_pickle=True)",
        "@numba.njit(parallel=True, cache=True)\ndef f(): pass",
        "__import__('pickle')",
        "import importlib\nimportlib.import_module('dill.source')",
    ],
)
def test_planted_pickle_is_found(source):
    assert violations(source)


@pytest.mark.parametrize(
    "source", ["import json", "np.load(p, allow_pickle=False)", "njit(cache=False)", "f(cache=1)"]
)
def test_what_is_safe_is_allowed(source):
    assert not violations(source)
