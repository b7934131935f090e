"""Counting CPUs: cgroup quotas of both versions, at any level of the tree."""

import os

import pytest

from tracejit.codegen.runtime import cpus


@pytest.fixture
def many_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


def tree(folder, membership, files):
    (folder / "membership").write_text(membership)
    for name, text in files.items():
        path = folder / "cgroups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "membership", folder / "cgroups"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, 16),
        ("0::/a/b\n", {"a/b/cpu.max": "250000 100000\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/gone\n", {"cpu.max": "50000 100000\n"}, 1),  # as seen inside a container
        (
            "5:cpu,cpuacct:/x\n",
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
        ("4:memory:/y\n", {}, 16),
    ],
)
def test_quota(tmp_path, many_cpus, membership, files, expected):
    assert cpus.available_cpus(*tree(tmp_path, membership, files)) == expected


def test_affinity_bounds_it(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert cpus.available_cpus(*tree(tmp_path, "0::/\n", {"cpu.max": "800000 100000"})) == 1


def test_here():
    assert 1 <= cpus.available_cpus() <= (os.cpu_count() or 1)
