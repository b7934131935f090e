"""Equal groups are lowered and scheduled once, and are what each by itself would become."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tracejit as tj
from benchmarks.compile_time import descent, layers
from tests.codegen.steps import AVX2, staged
from tests.fuzz.generate import random_graph
from tracejit.codegen import plan, twins
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.lower import lower, lower_group
from tracejit.codegen.nest import kernel_text
from tracejit.codegen.nest_builder import Lowered
from tracejit.codegen.schedule import schedule
from tracejit.codegen.splitting import split_sums
from tracejit.codegen.stages import Stages
from tracejit.ir.fusion import Fused, fuse
from tracejit.ir.passes import optimize
from tracejit.ir.text import parse


def each_by_itself(fused: Fused) -> list[Lowered]:
    stored = set(fused.graph.inputs)
    lowered = []
    for n, group in enumerate(fused.groups):
        stored.update(group.outputs)
        lowered += lower_group(group, stored, f"k{n}")
    return [low for low in lowered if low.kernel.body]


def check(fused: Fused) -> None:
    """Every line of every kernel, where it comes from included, and the value of every buffer."""
    for low, alone in zip(plan.lower_all(fused), each_by_itself(fused), strict=True):
        if low.kernel.kind not in ("host", "control"):
            assert kernel_text(low.kernel) == kernel_text(alone.kernel)
        assert (low.nodes, low.members) == (alone.nodes, alone.members)


@pytest.mark.parametrize("step", ["mlp", "lenet", "lstm", "gpt", "dcgan"])
def test_steps_become_what_they_were(step: str) -> None:
    check(staged(step).fused)


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_become_what_they_were(seed: int) -> None:
    check(fuse(optimize(random_graph(seed))))


def test_equal_layers_are_lowered_and_scheduled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **keywords: object) -> object:
            calls.append(function.__name__)
            return function(*args, **keywords)

        return call

    monkeypatch.setattr(twins, "lower", counted(lower))
    monkeypatch.setattr(plan, "schedule", counted(schedule))
    counts = []
    for depth in (6, 12):
        calls.clear()
        graph = tj.jit(descent).lower(*layers(depth)).graph
        stages = Stages(graph, AVX2)
        assert len(stages.plan.launches) > 4 * depth
        counts.append((calls.count("lower"), calls.count("schedule")))
    assert counts[0] == counts[1] and max(counts[0]) <= 10


def test_twins_that_are_split_have_parts_of_their_own() -> None:
    text = """
func f(%x: f32[40000], %y: f32[40000]):
  %0: f32[] = reduce_sum %x axes=(0,)
  %1: f32[] = reduce_sum %y axes=(0,)
  return %0, %1
"""
    fused = fuse(parse(text))
    lowered = plan.lower_all(fused)
    cut = twins.PartsOnce(split_sums)
    (first, last), (second, end) = (cut(low) for low in lowered)
    assert first.kernel.body is second.kernel.body and last.kernel.body is end.kernel.body
    assert len({first.nodes[1], last.nodes[-1], second.nodes[1], end.nodes[-1]}) == 2
    assert [low.kernel.name for low in (first, last, second, end)] == ["k0a", "k0", "k1a", "k1"]
    x, y = np.random.default_rng(0).standard_normal((2, 40000), "f4")
    found = compile_graph(parse(text)).run([x, y])
    np.testing.assert_allclose(found, [x.sum(), y.sum()], rtol=1e-4)
