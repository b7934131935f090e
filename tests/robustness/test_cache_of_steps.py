"""The disk cache under a step: whatever happens to it, results are right and nothing crashes."""

import os
import shutil
import stat

import pytest

RUN = "import training; training.main()"

# A process that compiles nothing: any use of the code generator is an error.
LOAD_ONLY = """
from tracejit.codegen.runtime import toolchain
def refuse(*a, **k): raise AssertionError("compiled")
toolchain._emit = refuse
"""

posix = pytest.mark.skipif(os.name != "posix", reason="modes, owners and signals")


@pytest.fixture(scope="session")
def filled(run, tmp_path_factory):
    """A cache folder as one run leaves it."""
    folder = tmp_path_factory.mktemp("filled") / "cache"
    done = run(RUN, TRACEJIT_CACHE_DIR=str(folder))
    assert done.err == ""
    assert len(entries(folder)) >= 4
    return folder


@pytest.fixture
def folder(filled, tmp_path):
    """A copy of it."""
    copy = tmp_path / "cache"
    shutil.copytree(filled, copy)
    copy.chmod(0o700)
    return copy


def entries(folder):
    return sorted(folder.glob("*.tj"))


def test_a_second_process_compiles_nothing(run, folder, expected, close):
    before = {path: path.read_bytes() for path in entries(folder)}
    done = run(LOAD_ONLY + RUN, TRACEJIT_CACHE_DIR=str(folder), TRACEJIT_LOG="cache,kernels")
    close(done.losses(), expected)
    assert "miss " not in done.err and "compiled" not in done.err
    assert done.err.count("from the disk cache") == done.err.count("] hit ") >= 2
    assert {path: path.read_bytes() for path in entries(folder)} == before


def test_load_only_does_what_it_says(run, tmp_path):
    done = run(LOAD_ONLY + RUN, TRACEJIT_CACHE_DIR=str(tmp_path / "empty"))
    assert done.code == 1 and "AssertionError: compiled" in done.err


def test_without_a_cache_nothing_is_written(run, tmp_path, expected, close):
    done = run(RUN, TRACEJIT_CACHE_DIR=str(tmp_path / "cache"), TRACEJIT_CACHE="0")
    close(done.losses(), expected)
    assert done.err == "" and os.listdir(tmp_path) == []


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"more")


def overwrite(path):
    path.write_bytes(os.urandom(path.stat().st_size))


@pytest.mark.parametrize("damage", [truncate, empty, flip, lengthen, overwrite])
def test_damaged_entries_are_thrown_away(run, folder, expected, close, damage):
    for path in entries(folder):
        damage(path)
    done = run(RUN, warnings="always", TRACEJIT_CACHE_DIR=str(folder))
    close(done.losses(), expected)
    (warning,) = done.warnings
    assert "CacheWarning: " in warning and "it was removed, compiling again" in warning
    again = run(LOAD_ONLY + RUN, TRACEJIT_CACHE_DIR=str(folder))
    close(again.losses(), expected)
    assert again.err == ""


def test_one_damaged_entry_of_many(run, folder, expected, close):
    # Those of single kernels only name a module; no step that is known reads them.
    read = [path for path in entries(folder) if b'"payload": 0' not in path.read_bytes()]
    assert 3 <= len(read) < len(entries(folder))
    for victim in (0, -1):
        truncate(read[victim])
        done = run(RUN, warnings="always", TRACEJIT_CACHE_DIR=str(folder))
        close(done.losses(), expected)
        assert len(done.warnings) == 1


def test_entries_under_each_other_s_names(run, folder, expected, close):
    paths = entries(folder)
    raws = [path.read_bytes() for path in paths]
    for path, raw in zip(paths, raws[1:] + raws[:1], strict=True):
        path.write_bytes(raw)
    done = run(RUN, warnings="always", TRACEJIT_CACHE_DIR=str(folder))
    close(done.losses(), expected)
    (warning,) = done.warnings
    assert "is the entry of another key; it was removed, compiling again" in warning


ANOTHER_CPU = """
import dataclasses
from tracejit.codegen.runtime import toolchain
ours = toolchain.host()
toolchain.host = lambda: dataclasses.replace(ours, cpu="generic")
"""


def test_entries_of_another_cpu_are_not_ours(run, folder, tmp_path, expected, close):
    shared = {"TRACEJIT_CACHE_DIR": str(tmp_path / "shared")}
    close(run(ANOTHER_CPU + RUN, **shared).losses(), expected)
    theirs = entries(tmp_path / "shared")
    done = run(RUN, TRACEJIT_LOG="cache", **shared)
    close(done.losses(), expected)
    assert " hit " not in done.err and " miss " in done.err and not done.warnings
    assert len(entries(tmp_path / "shared")) == 2 * len(theirs) == 2 * len(entries(folder))

    # Even under the names of ours.
    for path, other in zip(entries(folder), theirs, strict=True):
        shutil.copy(other, path)
    done = run(RUN, warnings="always", TRACEJIT_CACHE_DIR=str(folder))
    close(done.losses(), expected)
    (warning,) = done.warnings
    assert "is the entry of another key" in warning


def test_unreadable_entries(run, folder, expected, close):
    """A folder in an entry's place cannot be read, not even by root, nor written."""
    for path in entries(folder):
        path.unlink()
        path.mkdir()
    done = run(RUN, warnings="always", TRACEJIT_CACHE_DIR=str(folder))
    close(done.losses(), expected)
    unreadable, unwritable = done.warnings
    assert "cannot read" in unreadable and "cannot write" in unwritable


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_entries_without_read_permission(run, folder, expected, close):
    for path in entries(folder):
        path.chmod(0)
    done = run(RUN, warnings="always", TRACEJIT_CACHE_DIR=str(folder))
    close(done.losses(), expected)
    assert "cannot read" in done.warnings[0]


def test_processes_that_fill_one_cache_at_once(launch, wait, run, tmp_path, expected, close):
    shared = {"TRACEJIT_CACHE_DIR": str(tmp_path / "cache")}
    for process in [launch(RUN, **shared) for _ in range(3)]:
        done = wait(process)
        close(done.losses(), expected)
        assert done.err == ""
    close(run(LOAD_ONLY + RUN, **shared).losses(), expected)
    assert not list((tmp_path / "cache").glob(".*.tmp"))


KILLED = """
import os, signal
from pathlib import Path
from tracejit.codegen.runtime.cache import DiskCache
left = {count}
def write(path, raw):
    global left
    left -= 1
    if left:
        path.write_bytes(raw)
        path.chmod(0o600)
        return
    path.write_bytes(raw[: len(raw) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
DiskCache._write = staticmethod(write)
"""


@posix
@pytest.mark.parametrize("count", [1, 2, 4])
def test_killed_while_an_entry_is_written(run, tmp_path, expected, close, count):
    shared = {"TRACEJIT_CACHE_DIR": str(tmp_path / "cache")}
    killed = run(KILLED.format(count=count) + RUN, **shared)
    assert killed.code == -9
    assert len(entries(tmp_path / "cache")) == count - 1
    assert len(list((tmp_path / "cache").glob(".*.tmp"))) == 1
    done = run(RUN, **shared)
    close(done.losses(), expected)
    assert done.err == ""
    close(run(LOAD_ONLY + RUN, **shared).losses(), expected)


@posix
def test_the_folder_is_private(run, tmp_path):
    folder = tmp_path / "home" / "cache"
    done = run("import os; os.umask(0)\n" + RUN, TRACEJIT_CACHE_DIR=str(folder))
    assert done.err == ""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in entries(folder)} == {0o600}


@posix
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_a_folder_that_others_can_write_to_is_refused(run, folder, expected, close, mode):
    before = {path: path.stat() for path in entries(folder)}
    folder.chmod(mode)
    words = {"TRACEJIT_CACHE_DIR": str(folder), "TRACEJIT_LOG": "kernels"}
    done = run(RUN, warnings="always", **words)
    close(done.losses(), expected)
    (warning,) = done.warnings
    assert f"can be written by other users (mode {mode:o}); compiled code is not kept" in warning
    assert "compiled (" in done.err and "from the disk cache" not in done.err
    after = {path: path.stat() for path in entries(folder)}
    assert {p: s.st_mtime_ns for p, s in after.items()} == {
        p: s.st_mtime_ns for p, s in before.items()
    }


@posix
def test_a_folder_of_another_user_is_refused(run, folder, expected, close):
    another = "import os\nme = os.geteuid()\nos.geteuid = lambda: me + 1\n"
    words = {"TRACEJIT_CACHE_DIR": str(folder), "TRACEJIT_LOG": "kernels"}
    done = run(another + RUN, warnings="always", **words)
    close(done.losses(), expected)
    (warning,) = done.warnings
    assert "belongs to another user; compiled code is not kept" in warning
    assert "from the disk cache" not in done.err


@posix
def test_a_folder_that_cannot_be_made(run, tmp_path, expected, close):
    (tmp_path / "file").write_text("")
    done = run(RUN, warnings="always", TRACEJIT_CACHE_DIR=str(tmp_path / "file" / "cache"))
    close(done.losses(), expected)
    assert len(done.warnings) == 1 and "cannot be used" in done.warnings[0]
