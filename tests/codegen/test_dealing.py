"""Many small weights: their updates share code, and go to different threads as whole kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from tests.codegen.plan_checks import check
from tests.codegen.running import Runner, arrays_of, fault_in, planned
from tests.codegen.test_plan import without_donation
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.dealing import dealt, turns
from tracejit.codegen.launches import Launch, Plan
from tracejit.codegen.nest import kernel_text
from tracejit.codegen.runtime.team import num_threads, set_num_threads
from tracejit.codegen.sharing import shared_code
from tracejit.ir import ops
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.types import BF16, F16, F32, F64, DType, TensorType

SIZES = (0, 1, 2, 3, 7, 10, 16, 31, 33, 64, 100, 127, 129, 640, 777, 1000, 1023, 1500)
# Elements that every CPU can load under a mask have one code for all sizes.
DTYPES = (F32, F32, F64, F16, BF16)


def clipped_update(donate: bool) -> Graph:
    """Fifty weights and their gradients, all divided by their common norm; momentum.

    One weight is used twice, so it has two gradients, and the update of another one reads it.
    """
    builder = Builder()
    inputs: list[Node] = []

    def given(name: str, size: int, dtype: DType) -> Node:
        inputs.append(builder.input(f"{name}{len(inputs)}", TensorType((size,), dtype)))
        return inputs[-1]

    rows: list[tuple[Node, Node, Node]] = []
    for n in range(50):
        size, dtype = SIZES[n % len(SIZES)], DTYPES[n % len(DTYPES)]
        rows.append((given("w", size, dtype), given("m", size, dtype), given("g", size, dtype)))
    shared, first, gradient = rows[14]
    rows[14] = (shared, first, gradient + given("g", shared.shape[0], shared.dtype))
    squares = [ops.reduce_sum(ops.cast(g, F32) * ops.cast(g, F32), (0,)) for _, _, g in rows]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    outputs: list[Node] = []
    for n, (w, m, g) in enumerate(rows):
        factor = ops.broadcast(ops.cast(ops.rsqrt(total + 1.0), w.dtype), w.shape, ())
        moved = m * 0.5 + g * factor
        drift = ops.broadcast(ops.reduce_sum(shared, (0,)), w.shape, ())
        new = w - moved * 0.125
        outputs += [new + ops.cast(drift, w.dtype) if n == 21 else new, moved]
    donors = tuple(3 * (n // 2) + n % 2 if donate else None for n in range(len(outputs)))
    return Graph("update", tuple(inputs), tuple(outputs), donors)


@pytest.fixture(scope="module", params=[True, False], ids=["donated", "kept"])
def graph(request: pytest.FixtureRequest) -> Graph:
    return clipped_update(bool(request.param))


@pytest.fixture(scope="module")
def made(graph: Graph) -> Plan:
    return planned(graph)


def test_many_small_weights_mean_what_the_graph_means(graph: Graph, made: Plan) -> None:
    """For any number of threads, whichever of them comes first."""
    check(made)
    runner, arrays = Runner([made]), arrays_of(graph, 0)
    for threads in (1, 2, 5):
        fault = fault_in(without_donation(graph), arrays, runner.run(made, arrays, threads))
        assert fault is None, f"{threads} threads: {fault}"


def test_the_native_program_deals_out_the_same(graph: Graph) -> None:
    before = num_threads()
    arrays = arrays_of(graph, 1)
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            got = compile_graph(graph).run([np.copy(a) for a in arrays])
            assert fault_in(without_donation(graph), arrays, got) is None
    finally:
        set_num_threads(before)


def test_every_update_is_in_place(made: Plan) -> None:
    donated = {d for d in made.graph.donated if d is not None}
    assert not any(launch.kernel.name.endswith("copy") for launch in made.launches)
    assert len(made.fresh) == len(made.graph.outputs) - len(donated)


def _updates(made: Plan) -> list[Launch]:
    """What stores a weight and its momentum."""
    return [u for u in made.launches if len([b for b in u.kernel.buffers if b.role == "out"]) == 2]


def test_small_kernels_beside_each_other_are_dealt_out(made: Plan) -> None:
    turned = [u for u in made.launches if u.turn is not None]
    waves = Counter(u.wave for u in turned)
    # The sums of squares, then, behind a barrier each, the norm, and the updates.
    assert made.parallel and made.barriers == 2 and sorted(waves) == [0, 2]
    assert all(u.alone for u in turned)
    for wave in waves:
        threads = [u.turn.thread(3) for u in turned if u.wave == wave and u.turn is not None]
        assert threads == sorted(threads) and set(threads) == {0, 1, 2}
    assert "on one thread (at " in str(made)


def test_updates_of_any_size_are_one_code(made: Plan) -> None:
    def codes(updates: Sequence[Launch]) -> int:
        kernels = [shared_code(u.kernel) for u in updates]
        return len({kernel_text(k, locations=False, name="k") for k in kernels})

    updates = _updates(made)
    wide = [u for u in updates if u.kernel.buffers[0].dtype in (F32, F64)]
    plain = [u for u in wide if len(u.kernel.buffers) == 6 and u.kernel.buffers[-1].size != 1]
    assert len(plain) > 20 and codes(plain) == 2
    assert any("for parallel i0 in any tiles of" in str(shared_code(u.kernel)) for u in plain)


def test_turns_share_out_a_wave_by_time() -> None:
    waves, times = [0, 1, 1, 1, 1], [1e-6, 5e-7, 1e-7, 1e-7, 3e-7]
    found = turns({1, 2, 3, 4}, waves, times)
    assert [found[k].middle for k in (1, 2, 3, 4)] == [250, 550, 650, 850]
    assert {t.total for t in found.values()} == {1000}
    assert [found[k].thread(2) for k in (1, 2, 3, 4)] == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ([1e-6, 1e-6, 0.1e-6, 0.1e-6], {0, 1}),  # what follows them is too short
        ([0.1e-6, 0.1e-6, 1e-6, 1e-6], {2, 3}),  # the two that follow
        ([0.4e-6, 0.4e-6, 0.4e-6, 0.4e-6], set()),
        ([3e-6, 0, 0, 0], {0, 1}),
    ],
)
def test_what_is_dealt_out(times: list[float], chosen: set[int]) -> None:
    """Two kernels and two that read the results of both, all in one wave."""
    deps: list[set[int]] = [set(), set(), {0, 1}, {0, 1}]
    assert dealt(range(4), [0, 0, 0, 0], deps, times, 1.5e-6) == chosen
    assert dealt([0, 2, 3], [0, 0, 1, 2], deps, times, 1.5e-6) == set()
