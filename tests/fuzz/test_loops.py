"""Random loops: what passes, text, plan and native code make of them, against the interpreter."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest

from tests.fuzz.loops import donating, random_arrays, random_loops
from tracejit.codegen import plan
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.numba_program import run_program
from tracejit.ir.interpreter import evaluate
from tracejit.ir.passes import optimize
from tracejit.ir.text import equal, parse
from tracejit.ir.verify import verify

SEEDS = range(40)


def fault(seed: int) -> str | None:
    """How some form of the graph of a seed differs from the interpreter, with the graph."""
    graph = verify(donating(random_loops(seed), seed))
    arrays = random_arrays(graph, seed)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        want = evaluate(graph, arrays)
        program = compile_graph(graph)
        forms = {
            "passes": evaluate(verify(optimize(graph)), arrays),
            "llvm": program.run([a.copy() for a in arrays]),
            "llvm again": program.run([a.copy() for a in arrays]),
        }
        if seed % 5 == 0:
            copies = [a.copy() for a in arrays]
            forms["plan"] = run_program(program.plan, copies, use_numba=False)
    for name, got in forms.items():
        for a, b in zip(got, want, strict=True):
            if not np.allclose(a, b, rtol=1e-6, atol=1e-8, equal_nan=True):
                return f"seed {seed}, {name}:\n{graph}"
    return None if equal(parse(str(graph)), graph) else f"seed {seed}: text"


@pytest.mark.parametrize("start", range(0, len(SEEDS), 10))
def test_random_loops_agree(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other ten as if each kernel were long: with a team, and barriers, in all of them."""
    if start % 20:
        for name in ("ALONE_SECONDS", "SERIAL_SECONDS", "INNER_SERIAL_SECONDS"):
            monkeypatch.setattr(plan, name, 0.0)
    found = [f for seed in SEEDS[start : start + 10] if (f := fault(seed))]
    assert not found, "\n".join(found)


def test_the_loops_are_of_all_kinds() -> None:
    seen: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    for seed in range(100):
        for node in random_loops(seed).nodes():
            seen[node.op] += 1
            if node.op == "scan":
                body = node.attrs["body"]
                inside.update(n.op for n in body.nodes())  # type: ignore[union-attr]
    assert min(seen[op] for op in ("scan", "while_loop", "cond")) > 15
    assert inside["scan"] and inside["while_loop"] and inside["cond"]
