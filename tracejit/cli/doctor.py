"""`tracejit doctor`: what this machine gives, and whether compiled steps are right on it."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from rich.console import Console
from rich.markup import escape

import tracejit as tj
from tracejit.cli.cache import MIB, state, summary
from tracejit.codegen.runtime import layout, toolchain
from tracejit.codegen.runtime.cache import CacheWarning
from tracejit.codegen.runtime.cpus import available_cpus
from tracejit.codegen.runtime.team import num_threads, team

PACKAGES = ("numpy", "llvmlite", "numba", "optree", "ml_dtypes", "rich")
STEPS = 5
TOLERANCE = 1e-5  # relative; sums of a few hundred f32, in another order


@dataclass(frozen=True, slots=True)
class Finding:
    """grade: "ok", "note" for what costs speed only, or "FAIL"."""

    grade: str
    text: str


def doctor() -> int:
    """Prints one line for each check. Exit code 1 if one failed."""
    console = Console(highlight=False)
    failed = False
    for name, check in CHECKS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CacheWarning)  # the check of the cache tells
                finding = check()
        except Exception as error:  # whatever is broken, the other checks may tell why
            finding = Finding("FAIL", f"{type(error).__name__}: {error}")
        failed |= finding.grade == "FAIL"
        colour = {"ok": "green", "note": "yellow", "FAIL": "bold red"}[finding.grade]
        line = f"[{colour}]{finding.grade:4}[/]  {name:9}  {escape(finding.text)}"
        console.print(line, soft_wrap=True)
    return int(failed)


def _versions() -> Finding:
    found, missing = [f"tracejit {tj.__version__}", f"Python {platform.python_version()}"], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        return Finding("FAIL", f"not installed: {', '.join(missing)}; pip install tracejit")
    return Finding("ok", ", ".join(found))


def _cpu() -> Finding:
    host = toolchain.host()
    fma = "" if host.has_fma else ", no FMA"
    sizes = f"L1 {host.l1 >> 10} KiB, L2 {host.l2 >> 10} KiB"
    text = f"{host.cpu} ({host.triple}), {host.vector_bits}-bit vectors{fma}, {sizes}"
    return Finding("ok", f"{text}; LLVM {host.llvm.split('/')[0]}")


def _threads() -> Finding:
    wanted, cpus = num_threads(), available_cpus()
    team().ensure(wanted)
    started = team().size
    if started < wanted:
        return Finding("note", f"{started} of {wanted} threads could be started")
    if wanted > cpus:
        return Finding("note", f"{wanted} threads on {cpus} CPUs: they take turns")
    return Finding("ok", f"{wanted} on {cpus} CPUs that this process may use")


def _cache() -> Finding:
    known, refusal = state()
    size = f"{known.entries} entries, {known.bytes / MIB:.1f} MiB"
    kept = refusal is None and bool(tj.config.get("cache"))
    text = f"{known.directory}: {summary(known, refusal)}; {size}"
    return Finding("ok" if kept else "note", text)


def _entry() -> Finding:
    if layout.layout_ok():
        return Finding("ok", "native: a call costs under a microsecond")
    return Finding("note", "Python: the objects of this CPython or NumPy lie otherwise than known")


def _self_test() -> Finding:
    """A small training step, compiled here and now, against the interpreter."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 20)).astype(np.float32)
    y = rng.integers(0, 5, 32).astype(np.int32)
    start = [rng.standard_normal((a, b)).astype(np.float32) / 5 for a, b in ((20, 24), (24, 5))]

    def loss_fn(params: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> object:
        return tj.nn.softmax_cross_entropy(np.tanh(x @ params[0]) @ params[1], y).mean()

    def step(params: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> object:
        loss, grads = tj.value_and_grad(loss_fn)(params, x, y)
        return [p - 0.5 * g for p, g in zip(params, grads, strict=True)], loss

    def losses(step: Callable[..., tuple[list[np.ndarray], np.ndarray]]) -> list[float]:
        params, found = start, []
        for _ in range(STEPS):
            params, loss = step(params, x, y)
            found.append(float(loss))
        return found

    with tj.config.override("cache", False):  # the compiler is to be tested, not the disk
        compiled = tj.jit(step)
        ours = losses(compiled)
    expected = losses(tj.jit(step, target="interpreter"))
    if not np.allclose(ours, expected, rtol=TOLERANCE, atol=0):
        return Finding("FAIL", f"losses {ours}, interpreted {expected}")
    cost, seconds = compiled.lower(start, x, y).cost(), compiled.cache_info().compile_seconds
    text = f"{STEPS} training steps as interpreted; {cost.kernels} kernels compiled"
    return Finding("ok", f"{text} in {seconds:.2f} s")


CHECKS: dict[str, Callable[[], Finding]] = {
    "versions": _versions,
    "CPU": _cpu,
    "threads": _threads,
    "cache": _cache,
    "entry": _entry,
    "self-test": _self_test,
}
