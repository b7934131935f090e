"""The digits step (examples/digits.py) at every stage, as `dump` shows it.

The LLVM IR of its kernels is long and changes with every schedule; of it the program is kept whole
and of each kernel how many instructions of each kind it has. One small layer is kept in full.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from tests.codegen.steps import AVX2, AVX512, staged
from tracejit.codegen.machine import Machine
from tracejit.codegen.objects import SYMBOL
from tracejit.codegen.stages import Stages
from tracejit.ir.text import equal, parse

Golden = Callable[[str, str], None]

LAYER = """
func layer(%x: f32[6,20], %w: f32[20,19], %b: f32[19]):
  # layer.py:1
  %0: f32[6,19] = dot_general %x, %w contract=((1,),(0,)) batch=((),())
  # layer.py:2
  %1: f32[6,19] = broadcast %b shape=(6,19) axes=(1,)
  %2: f32[6,19] = add %0, %1
  # layer.py:3
  %3: f32[6,19] = full value=0.0 shape=(6,19) dtype=f32
  %4: f32[6,19] = maximum %2, %3
  return %4
"""


@pytest.mark.parametrize("stage", ["optimized", "fused", "loops", "scheduled", "program", "numba"])
def test_digits(stage: str, golden: Golden) -> None:
    golden(f"digits/{stage}.txt", staged("digits").dump(stage))


def test_digits_traced(golden: Golden) -> None:
    golden("digits/traced.txt", str(staged("digits").graph))


def test_digits_scheduled_for_wide_vectors(golden: Golden) -> None:
    golden("digits/scheduled-avx512.txt", staged("digits", AVX512).dump("scheduled"))


def test_digits_llvm(golden: Golden) -> None:
    stages = staged("digits")
    kernels = [
        f"; {kernel.name} @{symbol}\n{instructions(stages.module(symbol))}"
        for symbol, kernel in stages.kernels.items()
    ]
    golden("digits/llvm.txt", "\n".join([stages.module(SYMBOL), *kernels]))


@pytest.mark.parametrize(("name", "machine"), [("avx2", AVX2), ("avx512", AVX512)])
def test_layer_llvm(name: str, machine: Machine, golden: Golden) -> None:
    golden(f"layer/{name}.ll", Stages(parse(LAYER), machine).dump("llvm"))


def test_every_stage_says_the_users_lines() -> None:
    stages = staged("digits")
    for text in (str(stages.graph), *map(stages.dump, ("optimized", "fused", "loops", "numba"))):
        assert re.search(r"# digits\.py:\d+", text)
        assert re.search(r"# grad of digits\.py:\d+", text)
        assert "/" not in "".join(re.findall(r"# .*digits\.py", text)), "a folder of this machine"


def test_graphs_parse_as_they_print() -> None:
    stages = staged("digits")
    for graph in (stages.graph, stages.optimized):
        assert equal(parse(str(graph)), graph)


def instructions(module: str) -> str:
    """How often each instruction stands in a module, most frequent first."""
    found: Counter[str] = Counter()
    for line in module.splitlines():
        match = re.match(r"\s+(?:%\S+ = )?([a-z]+)", line)
        if match:
            call = re.search(r"@(?:llvm\.)?([\w.]+)\(", line) if match[1] == "call" else None
            found[f"call {call[1]}" if call else match[1]] += 1
    return "\n".join(f";   {count:4} {name}" for name, count in sorted(found.items(), key=_rank))


def _rank(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
