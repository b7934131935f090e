"""Dealing out: kernels too small to be shared go to different threads, each as a whole.

One thread finishes such a kernel before a barrier would pay. But a step with many small weights has
many of them beside each other, and together they are worth sharing: the updates of all biases, the
sums that a norm of all gradients is made of. No barrier stands between those of one wave; each
thread runs the ones in its stretch of the time that they all take together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence, Set

from tracejit.codegen.launches import Turn


def dealt(
    small: Sequence[int],
    waves: Sequence[int],
    deps: Sequence[Set[int]],
    times: Sequence[float],
    least: float,
) -> frozenset[int]:
    """The small kernels that take `least` or more together with others beside them.

    small: kernels that one thread would run, in an order that they can run in; within a wave they
    follow from each other without a barrier, which those that are dealt out will need. times [s].
    """
    depth: dict[int, int] = {}
    beside: dict[tuple[int, int], list[int]] = defaultdict(list)
    for k in small:
        before = (depth[d] for d in deps[k] if d in depth and waves[d] == waves[k])
        depth[k] = 1 + max(before, default=0)
        beside[waves[k], depth[k]].append(k)
    sets = (some for some in beside.values() if len(some) > 1)
    return frozenset(k for some in sets if sum(times[n] for n in some) >= least for k in some)


def turns(chosen: Collection[int], waves: Sequence[int], times: Sequence[float]) -> dict[int, Turn]:
    """Where each of the chosen kernels lies in what those of its wave take."""
    found: dict[int, Turn] = {}
    by_wave: dict[int, list[int]] = defaultdict(list)
    for k in sorted(chosen):
        by_wave[waves[k]].append(k)
    for wave in by_wave.values():
        spans = [max(round(times[k] * 1e9), 1) for k in wave]
        start = 0
        for k, span in zip(wave, spans, strict=True):
            found[k] = Turn(start + span // 2, sum(spans))
            start += span
    return found
