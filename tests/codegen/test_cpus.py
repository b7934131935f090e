"""Kernels compiled for older x86-64 CPUs than this one, for which LLVM takes other instructions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from llvmlite import binding as llvm

from tests.codegen.kernels import FAMILIES
from tests.codegen.running import L1, L2, Runner, arrays_of, fault_in, planned
from tests.fuzz.generate import random_graph
from tests.fuzz.inputs import random_inputs
from tracejit.codegen.machine import Machine, machine_of
from tracejit.codegen.runtime import toolchain
from tracejit.ir.graph import Array, Graph

# The levels of the x86-64 ABI: what of the host's features each needs, and its machine model.
CPUS = {
    "x86-64": ((), Machine(16, 16, False, L1, L2)),
    "x86-64-v3": (("avx2", "fma", "f16c", "bmi2", "movbe"), Machine(32, 16, True, L1, L2)),
    "x86-64-v4": (
        ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
        Machine(64, 32, True, L1, L2),
    ),
}


@pytest.fixture(params=CPUS)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The model of a CPU that code is compiled for, and runs on this one."""
    host, (needed, model) = toolchain.host(), CPUS[request.param]
    features = dict(llvm.get_host_cpu_features())
    if not host.triple.startswith("x86_64") or not all(features.get(f) for f in needed):
        pytest.skip(f"no {request.param}")
    other = replace(host, cpu=request.param, features="")
    monkeypatch.setattr(toolchain, "host", lambda: other)
    none = {level: [] for level in toolchain._idle_machines}
    monkeypatch.setattr(toolchain, "_idle_machines", none)
    return model


@pytest.mark.parametrize("family", ["maps", "mixed widths", "reductions", "rows", "products"])
def test_kernels(family: str, machine: Machine) -> None:
    graphs = [graph for _, graph in FAMILIES[family]()]
    _check(graphs, [arrays_of(graph, n) for n, graph in enumerate(graphs)], machine, passes=False)


def test_random_graphs(machine: Machine) -> None:
    seeds = range(1000, 1020)
    graphs = [random_graph(seed) for seed in seeds]
    arrays = [random_inputs(graph, seed) for graph, seed in zip(graphs, seeds, strict=True)]
    _check(graphs, arrays, machine, passes=True)


def test_a_cpu_whose_units_join_for_512_bits_is_busy_with_fewer_accumulators() -> None:
    for cpu, bits, count in (("znver4", 512, 5), ("znver4", 256, 10), ("znver5", 512, 10)):
        machine = machine_of(replace(toolchain.host(), cpu=cpu, vector_bits=bits))
        assert machine.in_flight == count


def _check(graphs: list[Graph], arrays: list[list[Array]], machine: Machine, passes: bool) -> None:
    plans = [planned(graph, machine, passes) for graph in graphs]
    runner = Runner(plans, machine)
    wrong = []
    for n, (graph, given, plan) in enumerate(zip(graphs, arrays, plans, strict=True)):
        fault = fault_in(graph, given, runner.run(plan, given, 1 + n % 3, n))
        if fault:
            wrong.append(f"{fault}\n{graph}")
    assert not wrong, "\n".join(wrong)
