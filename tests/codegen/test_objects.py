"""Several kernels to a module, and each of them compiled once, whoever wants it next to which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from tracejit.codegen import objects
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.runtime import cache
from tracejit.ir import config
from tracejit.ir.text import parse


@pytest.fixture(autouse=True)
def compiled(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[set[str]]]:
    """A process that knows nothing, and a cache folder with nothing in it.

    Gives the kernels of each module that is compiled from then on.
    """
    monkeypatch.setenv("TRACEJIT_CACHE_DIR", str(tmp_path))
    found: list[set[str]] = []
    compile_ir = objects.compile_ir

    def noted(texts: Sequence[str], level: int) -> list[bytes]:
        defined = (line for text in texts for line in text.split("\n"))
        heads = (line.split("@")[1].split("(")[0] for line in defined if line[:11] == "define void")
        found.append(set(heads))
        return compile_ir(texts, level=level)

    monkeypatch.setattr(objects, "compile_ir", noted)
    objects.forget()
    yield found
    objects.forget()


def sums(*extents: int) -> str:
    """One kernel for each extent: the sum of so many rows of x."""
    lines = ["func f(%x: f32[64,8]):"]
    for n in extents:
        lines += [
            f"  %{2 * n}: f32[{n},8] = slice %x start=(0,0) stop=({n},8) step=(1,1)",
            f"  %{2 * n + 1}: f32[8] = reduce_sum %{2 * n} axes=(0,)",
        ]
    return "\n".join([*lines, f"  return {', '.join(f'%{2 * n + 1}' for n in extents)}", ""])


def check(*extents: int) -> tuple[str, ...]:
    """Compiles and runs; the symbols of the kernels."""
    x = np.random.default_rng(0).standard_normal((64, 8), "f4")
    program = compile_graph(parse(sums(*extents)))
    for n, got in zip(extents, program.run([x]), strict=True):
        np.testing.assert_allclose(got, x[:n].sum(0), rtol=1e-5)
    assert len(program.artifact.symbols) == len(extents)
    return program.artifact.symbols


def test_short_kernels_are_one_module(compiled: list[set[str]]) -> None:
    symbols = check(3, 5, 7, 11, 13, 17)
    kernels = [module for module in compiled if objects.SYMBOL not in module]
    assert set().union(*kernels) == set(symbols)
    assert len(kernels) < 6 == sum(map(len, kernels))


@pytest.mark.parametrize("in_process", [True, False])
def test_a_kernel_of_another_program_is_not_compiled_again(
    compiled: list[set[str]], in_process: bool
) -> None:
    check(3, 5, 7)
    if not in_process:
        objects.forget()
    compiled.clear()
    _, fresh, _ = check(5, 9, 3)
    assert sorted(map(sorted, compiled)) == [[fresh], [objects.SYMBOL]]


def test_a_known_program_reads_its_modules_alone(
    compiled: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(3, 5, 7)
    modules = sum(objects.SYMBOL not in module for module in compiled)
    objects.forget()
    compiled.clear()
    read: list[str] = []
    get = cache.DiskCache.get

    def noted(self: cache.DiskCache, key: str) -> cache.Entry | None:
        read.append(key)
        return get(self, key)

    monkeypatch.setattr(cache.DiskCache, "get", noted)
    check(3, 5, 7)
    assert not compiled
    assert len(read) == 1 + modules + 1  # the artifact, the kernels, the program


def test_modules_with_a_kernel_in_common_are_not_linked_together(
    compiled: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two processes leave them that compile at the same time."""
    monkeypatch.setattr(objects, "available_cpus", lambda: 1)
    with config.override("cache", False):
        three, five, *_ = check(3, 5, 9, 11)
        first = objects._modules[objects._homes[three]]
        objects.forget()
        _, seven, *_ = check(5, 7, 9, 11)
        second = objects._modules[objects._homes[seven]]
        assert (first.symbols, second.symbols) == ((three, five), (five, seven))
        objects._add(first)
        compiled.clear()
        check(3, 5, 7)
    assert sorted(map(sorted, compiled)) == [[seven], [objects.SYMBOL]]
