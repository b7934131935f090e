"""Random NumPy programs: NumPy against define by run, jit, vmap and gradients; prints reproducers.

python -m tests.fuzz.numpy_fuzz --count 5000 --seed 0 [--native 10] [--gradients 4] [--lanes 5]

Every program runs define by run and traced; one in `native` is also compiled, one in `gradients` is
differentiated (its f64 results, by f64 inputs: define by run and traced alike, and equal to
differences where these agree with each other), one in `lanes` is mapped over two lanes.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tracejit as tj
from tests.fuzz.numpy_programs import Program, Value, random_program


@dataclass(frozen=True)
class Shares:
    """One program in so many is also compiled, differentiated, mapped."""

    native: int = 10
    gradients: int = 4
    lanes: int = 5


@dataclass(frozen=True)
class Fault:
    program: Program
    message: str

    def __str__(self) -> str:
        program = self.program
        return f"seed {program.seed}: {self.message}\nreproduce with:\n\n{program.reproducer}"


def fault_of(seed: int, shares: Shares = Shares()) -> Fault | None:
    """What is wrong with the program of a seed, None where nothing is."""
    smooth = shares.gradients and seed % shares.gradients == 0
    program = (
        random_program(seed, dtypes=["f8", "f8", "f8", "i8"]) if smooth else random_program(seed)
    )
    f, args = program.compiled()
    runs: dict[str, Any] = {
        "define by run": lambda: _eagerly(f, args),
        "traced": lambda: tj.jit(f, target="interpreter")(*args),
    }
    if shares.native and seed % shares.native == 0:
        runs["compiled"] = lambda: tj.jit(f)(*args)
    if shares.lanes and seed % shares.lanes == 0:
        runs["vmap"] = lambda: [r[1] for r in tj.vmap(f)(*(np.stack([a, a]) for a in args))]
    for name, run in runs.items():
        try:
            wrong = _wrong(program.results, run())
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong is not None:
            return Fault(program, f"{name}: {wrong}")
    if smooth:
        native = bool(shares.native) and seed % (shares.native * shares.gradients) == 0
        wrong = gradient_fault(program, native)
        return None if wrong is None else Fault(program, wrong)
    return None


def _eagerly(f: Any, args: list[Any]) -> Any:
    with tj.disable_jit():
        return tj.jit(f)(*args)


def _wrong(wanted: Sequence[Value], got: Any) -> str | None:
    for n, (value, out) in enumerate(zip(wanted, got, strict=True)):
        out, want = np.asarray(out), value.array
        if (out.dtype, out.shape) != (want.dtype, want.shape):
            return f"result {n} is {out.dtype}{list(out.shape)}, not {want.dtype}{list(want.shape)}"
        if want.dtype.kind != "f":
            bad = out != want
        else:
            off = np.abs(out.astype(np.float64) - want.astype(np.float64))
            same = (out == want) | (np.isnan(out) & np.isnan(want))
            bad = ~same & ~(off <= (0 if value.error is None else value.error))
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            return f"result {n} at {at}: {out[at]} instead of {want[at]}, {bad.sum()} differ"
    return None


# Gradients

STEP = 1e-6


def gradient_fault(program: Program, native: bool) -> str | None:
    """The gradient define by run against that traced, and against differences."""
    f, args = program.compiled()
    argnums = tuple(n for n, a in enumerate(args) if a.dtype == np.float64 and a.size)
    kept = [n for n, v in enumerate(program.results) if v.array.dtype == np.float64]
    if not argnums or not kept:
        return None
    weights = [
        np.random.default_rng(n).uniform(-1, 1, program.results[n].array.shape) for n in kept
    ]

    def loss(*args: Any) -> Any:
        results = f(*args)
        return sum(np.sum(results[n] * w) for n, w in zip(kept, weights, strict=True)) + 0.0

    gradient = tj.grad(loss, argnums=argnums)
    try:
        eager = gradient(*args)
        traced = tj.jit(gradient, target="cpu" if native else "interpreter")(*args)
    except Exception as error:
        return f"grad: {type(error).__name__}: {error}"
    size = 1 + max(float(np.max(np.abs(g), initial=0)) for g in eager)
    for a, b in zip(eager, traced, strict=True):
        if not np.allclose(a, b, rtol=1e-6, atol=1e-9 * size, equal_nan=True):
            return f"grad: {a} define by run, {b} {'compiled' if native else 'traced'}"
    return _against_differences(loss, args, argnums, eager, size)


def _against_differences(
    loss: Any, args: list[Any], argnums: tuple[int, ...], eager: Any, size: float
) -> str | None:
    rng = np.random.default_rng(1)
    way = {n: rng.uniform(-1, 1, args[n].shape) for n in argnums}

    def slope(step: float) -> float:
        ahead, behind = (
            loss(*(a + s * way[n] if n in way else a for n, a in enumerate(args)))
            for s in (step, -step)
        )
        return float((ahead - behind) / (2 * step))

    with np.errstate(all="ignore"):
        near, far = slope(STEP), slope(10 * STEP)
    exact = float(sum(np.sum(g * way[n]) for n, g in zip(argnums, eager, strict=True)))
    scale = 1e-4 * (1 + abs(near) + size)
    # Where the two differ there is a kink, a step, or too much curvature between.
    if abs(near - far) <= 0.1 * scale and not abs(exact - near) <= scale:
        return f"grad: slope {exact}, by differences {near}"
    return None


def faults(seeds: range, shares: Shares) -> Iterator[Fault]:
    for seed in seeds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fault = fault_of(seed, shares)
        if fault is not None:
            yield fault


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.numpy_fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many programs")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    for name, usual in (("native", 10), ("gradients", 4), ("lanes", 5)):
        parser.add_argument(f"--{name}", type=int, default=usual, help="one in so many; 0 for none")
    parser.add_argument("--stop-after", type=int, default=20, help="stop after so many faults")
    options = parser.parse_args(arguments)
    shares = Shares(options.native, options.gradients, options.lanes)
    start, found = time.perf_counter(), 0
    for fault in faults(range(options.seed, options.seed + options.count), shares):
        found += 1
        print(f"--- fault {found}\n{fault}", flush=True)
        if found >= options.stop_after:
            break
    print(f"{options.count} programs: {found} faults, {time.perf_counter() - start:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
