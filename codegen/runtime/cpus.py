"""How many CPUs this process may use: affinity and the cgroup's quota, whichever is less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def available_cpus(membership: Path = MEMBERSHIP, cgroups: Path = CGROUPS) -> int:
    """CPUs that threads of this process can run on at once [count], at least 1.

    A quota of 2.5 CPUs counts as 2: a spinning third thread would spend the others' time.
    """
    quota = _cgroup_quota(membership, cgroups)
    allowed = _affinity()
    return max(1, allowed if quota is None else min(allowed, int(quota)))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota(membership: Path, cgroups: Path) -> float | None:
    """The least CPU quota [CPUs] of this process's cgroup and its parents; None if unlimited."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0":  # cgroup v2
            quotas += [_quota_v2(folder) for folder in _with_parents(cgroups, path)]
        elif "cpu" in controllers.split(","):
            for root in (cgroups / controllers, cgroups / "cpu"):
                quotas += [_quota_v1(folder) for folder in _with_parents(root, path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _with_parents(root: Path, path: str) -> Iterator[Path]:
    """A cgroup's folder and those above it. Inside a container only some of them exist."""
    relative = PurePosixPath(path.lstrip("/"))
    for step in (relative, *relative.parents):
        yield root / step


def _quota_v2(folder: Path) -> float | None:
    """cpu.max holds "quota period" in µs, or "max period"."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    """cpu.cfs_quota_us is -1 when there is no quota."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None
