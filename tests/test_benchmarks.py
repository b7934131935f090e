"""What the benchmarks say of the figures they take: work counted, regressions told from noise."""

import json
from io import StringIO
from math import prod

import numpy as np
import pytest
from rich.console import Console

import tracejit as tj
from benchmarks.__main__ import regressions
from benchmarks.comparing import CompareError, checked_out, judge, noise, recorded, verdicts
from benchmarks.kernels.cases import ROUNDING, Convolution, Product, operands
from benchmarks.kernels.reference import checked
from benchmarks.kernels.tracejit_side import make
from benchmarks.peers.tracejit_peer import gan_step, train_step
from benchmarks.rounds import Result
from benchmarks.stopwatch import Timing
from benchmarks.tables import Sheet, step_sheet
from benchmarks.workloads import WORKLOADS
from tracejit.ir.draft import summed
from tracejit.ir.loops import bodies as bodies_of
from tracejit.ir.passes import optimize


def products(graph):
    """FLOPs of its matrix products and convolutions, those of a scan's body at each turn."""
    total = 0
    for node in graph.nodes():
        if node.op in ("dot_general", "conv", "conv_weight_grad"):
            total += 2 * node.type.size * prod(summed(node))
        for graphs in bodies_of(node).values():
            total += node.attrs["length"] * sum(map(products, graphs))
    return total


@pytest.mark.parametrize("name", WORKLOADS)
def test_flops_by_formula_are_those_of_the_graph(name):
    work = WORKLOADS[name]()
    zeros = tj.tree.map(np.zeros_like, work.params)
    state = (work.params, zeros, zeros, 1.0, work.x, work.y)
    gan = name == "dcgan"
    lowered = gan_step.lower(*state) if gan else train_step.lower(work.model, *state)
    assert products(optimize(lowered.graph)) == work.flops


# base, now, what is said; in ms, of one process each
FIGURES = {
    "quiet and equal": ([10.0, 10.1, 10.2], [10.1, 10.0, 10.3], "same"),
    "quiet, 2 % more": ([10.0, 10.0, 10.1], [10.2, 10.2, 10.3], "same"),
    "quiet, 10 % more": ([10.0, 10.1, 10.2], [11.0, 11.1, 11.3], "slower"),
    "quiet, 10 % less": ([10.0, 10.1, 10.2], [9.0, 9.1, 9.3], "faster"),
    "two processes will do": ([10.0, 10.1], [12.0, 12.2], "slower"),
    "10 % more in 15 % of noise": ([10.0, 11.5, 19.0], [11.0, 11.1, 11.2], "same"),
    "10 % more, the noise is on the other side": ([10.0, 10.0], [11.0, 12.6, 18.0], "same"),
    "twice as much in the same noise": ([10.0, 11.5, 19.0], [20.0, 20.1, 20.2], "slower"),
    "one slow process is no noise": ([10.0, 10.1, 40.0], [11.0, 11.1, 50.0], "slower"),
    "so noisy that nothing can be told": ([10.0, 14.0, 19.0], [11.0, 15.0, 18.0], "unclear"),
    "slower by more than the worst of noise": ([10.0, 14.0, 19.0], [20.0, 21.0, 22.0], "slower"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_regression_is_what_exceeds_the_noise(name):
    base, now, said = FIGURES[name]
    assert str(judge(base, now)) == said


def test_noise_is_the_spread_of_the_faster_half():
    assert noise([12.0, 10.0, 11.0, 99.0]) == pytest.approx(0.1)
    assert noise([12.0, 10.0, 11.0, 50.0, 99.0]) == pytest.approx(0.2)
    with pytest.raises(CompareError, match="--rounds 2 or more"):
        noise([10.0])


def test_only_figures_of_both_sides_are_compared():
    found = verdicts({"step": [1.0, 1.0]}, {"step": [2.0, 2.0], "first call": [1.0, 1.0]})
    assert [(name, str(v)) for name, v in found.items()] == [("step", "slower")]


def result(*medians):
    timings = [Timing(first_call=1.0, step_median=m, step_min=m, losses=[1.0]) for m in medians]
    return Result(cold=timings)


def test_what_json_keeps_is_what_is_compared_later(tmp_path):
    peers = {"tracejit": result(0.5, 0.25).summary(), "JAX": result(0.1, 0.2).summary()}
    failed = {"tracejit": Result(error="no such workload").summary()}
    path = tmp_path / "base.json"
    path.write_text(json.dumps({"machine": "m", "workloads": {"mlp": peers, "gpt": failed}}))
    assert recorded(path, "m") == {"mlp": {"step": [0.5, 0.25], "first call": [1.0, 1.0]}}
    with pytest.raises(CompareError, match="was measured on m; this is another"):
        recorded(path, "another")
    path.write_text("[]")
    with pytest.raises(CompareError, match="is no file of --json"):
        recorded(path, "m")


@pytest.mark.parametrize(("now", "failed"), [((0.5, 0.51), True), ((0.26, 0.25), False)])
def test_a_slower_step_fails_the_run(now, failed):
    base = {"mlp": {"step": [0.25, 0.26]}, "gpt": {}}
    results = {"mlp": {"tracejit": result(*now)}, "gpt": {"tracejit": result(9.0, 9.0)}}
    console = Console(record=True, width=100, file=StringIO())
    assert regressions(base, results, "v1", console) == failed
    shown = console.export_text()
    assert ("slower" in shown) == failed
    assert "gpt: not compared, v1 has no figures of it" in shown


def test_a_base_that_git_does_not_know_is_told():
    with (
        pytest.raises(CompareError, match="'no-such-thing' is neither a file nor a git revision"),
        checked_out("no-such-thing"),
    ):
        pass


def test_tables_in_markdown():
    sheet = step_sheet("mlp", {"a": result(0.5), "b": Result(error="x")}, 10**9, 4e9)
    lines = sheet.markdown().splitlines()
    assert lines[0] == "### mlp: 1 GFLOP"
    assert lines[4] == "| a | 500 | 500 | 1000 | - | 0 | 2 | 0.50 | 0e+00 |"
    assert lines[5].startswith("| b | failed |  |")
    assert {line.count("|") for line in lines[2:6]} == {10}
    assert Sheet("t", ("x",), [("r", "1")]).markdown() == "### t\n\n| | x |\n|---|---|\n| r | 1 |\n"


@pytest.mark.parametrize(
    "case",
    [
        Product(20, 9, 5, "TN", (3,)),
        Product(20, 9, 5, "NT", dtype="bf16"),
        Product(20, 9, 5, "TT", dtype="f16"),
        Convolution(2, 7, 3, 4, 3, 2),
        Convolution(2, 7, 3, 4, 3, 2, "input"),
        Convolution(2, 6, 3, 4, 5, 1, "weight"),
    ],
    ids=lambda case: case.name,
)
def test_a_kernel_that_is_slightly_wrong_is_refused(case):
    """What the benchmark has in f64 agrees with the kernel, not with one bent by 1 in 10,000, or
    by somewhat more than its dtype rounds off."""
    a, b = operands(case)
    kernel = make(case, a, b)
    out = kernel.result(kernel.run())
    by = 1e-4 + 4 * ROUNDING[case.dtype]
    bent = out * (1 + by * np.sign(np.random.default_rng(0).standard_normal(out.shape)))
    with pytest.raises(ArithmeticError, match=r"off by .* of its norm, over [345]e-0[346]"):
        checked(case, a, b, out=bent)
