"""The self-test of object layouts, and the Python entry where it fails."""

import sys

import pytest

from tests.runtime.entries import F32, VECTOR, X, Y
from tracejit.codegen.runtime import layout
from tracejit.codegen.runtime.entry import FreshOut, make_entry


def test_layout_holds_here():
    if sys.implementation.name == "cpython" and layout.counts_references():
        assert layout.layout_ok()


OFFSETS = ["TYPE", "DATA", "NDIM", "DIMENSIONS", "BASE", "DTYPE", "FLAGS", "DTYPE_WORD"]


@pytest.mark.parametrize("name", OFFSETS)
@pytest.mark.skipif(not layout.layout_ok(), reason="another layout")
def test_self_test_sees_another_layout(monkeypatch, name):
    wrong = {"DATA": layout.NDIM, "DIMENSIONS": layout.DIMENSIONS + 8}
    monkeypatch.setattr(layout, name, wrong.get(name, layout.DATA))
    assert not layout.layout_ok.__wrapped__()


def test_self_test_that_fails_gives_the_python_entry(monkeypatch, code):
    monkeypatch.setattr(layout, "_as_expected", lambda array: False)
    monkeypatch.setattr(layout, "layout_ok", layout.layout_ok.__wrapped__)
    made = make_entry(
        code.address("add"), [VECTOR, VECTOR], [FreshOut((4,), F32)], [], 0, 1, False, print
    )
    assert not made.native
    assert made.call(X, Y)[0].tolist() == (X + Y).tolist()


@pytest.mark.parametrize("build", ["free-threaded", "pypy"])
def test_builds_that_count_otherwise(monkeypatch, build):
    if build == "pypy":
        monkeypatch.setattr(sys.implementation, "name", "pypy")
    else:
        monkeypatch.setattr(layout.sysconfig, "get_config_var", lambda name: 1)
    assert not layout.layout_ok.__wrapped__()
