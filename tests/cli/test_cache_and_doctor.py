"""`tracejit cache` and `tracejit doctor`."""

import os
import re

import pytest

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes and owners of files")


def test_cache_info_and_clear(command, script, tmp_path):
    folder = tmp_path / "cache"
    environment = {"TRACEJIT_CACHE_DIR": str(folder)}
    code, out, _ = command("cache", "info", **environment)
    assert code == 0 and "empty; the first compile makes the folder" in out
    assert not folder.exists()

    assert command("run", script(), **environment)[0] == 0
    files = list(folder.iterdir())
    code, out, _ = command("cache", "info", **environment)
    assert code == 0
    assert f"folder   {folder}\n" in out and "state    in use\n" in out
    assert f"entries  {len(files)}\n" in out and len(files) > 2

    code, out, _ = command("cache", "clear", **environment)
    assert (code, out) == (0, f"removed {len(files)} entries from {folder}\n")
    assert list(folder.iterdir()) == []


def test_cache_that_is_off(command, tmp_path):
    environment = {"TRACEJIT_CACHE_DIR": str(tmp_path), "TRACEJIT_CACHE": "0"}
    code, out, _ = command("cache", "info", **environment)
    assert code == 0 and "off (TRACEJIT_CACHE)" in out


@posix
def test_refused_cache(command, tmp_path):
    tmp_path.chmod(0o777)
    environment = {"TRACEJIT_CACHE_DIR": str(tmp_path)}
    code, out, err = command("cache", "info", **environment)
    assert code == 1 and err == ""
    assert "can be written by other users (mode 777)" in out
    code, out, err = command("cache", "clear", **environment)
    assert code == 1 and "nothing removed" in err and "mode 777" in err
    code, out, _ = command("doctor", **environment)
    assert code == 0  # costs time, breaks nothing
    assert re.search(r"^note +cache .*mode 777", out, re.MULTILINE)


def test_doctor_finds_this_machine_well(command):
    code, out, err = command("doctor")
    assert (code, err) == (0, ""), out
    lines = [line.split(None, 2) for line in out.splitlines()]
    names = ["versions", "CPU", "threads", "cache", "entry", "self-test"]
    assert [line[1] for line in lines] == names
    assert {line[0] for line in lines} <= {"ok", "note"}
    assert lines[-1][0] == "ok" and "kernels compiled" in lines[-1][2]
    assert "numpy 2." in out and "-bit vectors" in out


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ("import tracejit.codegen.stages as s\n"
         "real = s.emit_kernel\n"
         "def wrong(*a):\n"
         "    text, declared = real(*a)\n"
         "    return text.replace('fsub', 'fadd'), declared\n"
         "s.emit_kernel = wrong\n", "losses ["),
        ("import tracejit.codegen.compile as c\n"
         "def wrong(*a): raise MemoryError('no pages')\n"
         "c.link = wrong\n", "MemoryError: no pages"),
    ],
    ids=["wrong code", "no memory"],
)  # fmt: skip
def test_doctor_finds_a_broken_compiler(python, script, planted, message):
    path = script(f"{planted}import tracejit.cli\nraise SystemExit(tracejit.cli.main(['doctor']))")
    code, out, _ = python(path)
    assert code == 1
    assert re.search(r"^FAIL +self-test .*", out, re.MULTILINE), out
    assert message in out
    assert re.search(r"^ok +CPU", out, re.MULTILINE)


def test_commands_are_listed(command):
    code, _, err = command()
    assert code == 2 and "COMMAND" in err
    code, out, _ = command("--help")
    assert code == 0 and all(name in out for name in ("run", "dump", "cache", "doctor"))
