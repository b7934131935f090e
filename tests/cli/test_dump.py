"""`tracejit dump script.py:function`."""

import os
import re
import subprocess
import sys

import pytest

import tracejit as tj
from tracejit.cli import main
from tracejit.dumps import stages

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def test_a_jitted_function_at_its_first_call(command, script):
    path = script()
    code, out, err = command("dump", f"{path}:train_step", "--", "--epochs", "1")
    assert code == 0, err
    assert out.startswith("# train_step: fused\nfunc train_step(%w: f32[8,5], %x: f32[6,8]):\n")
    assert "# kernel 0: " in out and "# train.py:7" in out and "# grad of train.py:7" in out
    assert "words --epochs 1\n" in err  # what the script printed, kept out of the pipe
    assert "loss" not in err  # it was stopped at the call


def test_all_stages_in_order(command, script):
    code, out, err = command("dump", f"{script()}:train_step", "--stage", "all")
    assert code == 0, err
    titles = re.findall(r"^[#;] train_step: (\w+)$", out, re.MULTILINE)
    assert tuple(titles) == stages()
    assert "define void @" in out and "tanh" in out


def test_what_is_dumped_is_what_lower_dumps(command, script):
    """And the graph of the dump parses."""
    path = script()
    _, out, _ = command("dump", f"{path}:train_step", "--stage", "traced")
    text = out.split("\n", 1)[1]
    assert str(tj.parse(text)).strip() == text.strip()


def test_a_plain_function_is_jitted_for_the_arguments_of_its_call(command, script):
    code, out, err = command("dump", f"{script()}:scaled", "--stage", "traced")
    assert code == 0, err
    assert re.search(r"func scaled\(%x: f32\[6,8\], %\w+: f64\[\], %factor: f64\[\]\):", out)


def test_a_function_inside_another_function(command, script):
    path = script("import numpy as np\ndef main():\n    def inner(x, /, *, k):\n"
                  "        return x * k\n    inner(np.ones(3), k=2)\nmain()\n")  # fmt: skip
    code, out, err = command("dump", f"{path}:inner", "--stage", "traced")
    assert code == 0, err
    assert "func inner(%x: f64[3], %k: i64[]):" in out


def test_a_variable_that_holds_a_jitted_function(command, script):
    code, out, err = command("dump", f"{script()}:final_step", "--stage", "optimized")
    assert code == 0, err
    assert "reduce_sum" in out


def test_example_inputs_instead_of_running(command, script):
    source = """
import numpy as np
def f(x, y): return x @ y
def example_inputs(): return {returned}
if __name__ == "__main__": raise SystemExit("ran")
"""
    a, b = "np.ones((2, 3))", "np.ones((3, 4))"
    for returned in (f"{a}, {b}", f"dict(x={a}, y={b})"):
        path = script(source.format(returned=returned))
        code, out, err = command("dump", f"{path}:f", "--stage", "traced")
        assert code == 0, err
        assert "func f(%x: f64[2,3], %y: f64[3,4]):" in out


def test_one_example_input(command, script):
    path = script("import numpy as np\ndef f(x): return x + x\n"
                  "def example_inputs(): return np.ones(3)\n")  # fmt: skip
    code, out, _ = command("dump", f"{path}:f", "--stage", "program")
    assert code == 0 and "input[0] = %x: f64[3]" in out


def test_an_interpreted_step_is_compiled_to_be_shown(command, script):
    path = script("import numpy as np\nimport tracejit as tj\n"
                  "f = tj.jit(lambda x: x + 1, target='interpreter')\nf(np.ones(3))\n")  # fmt: skip
    code, out, err = command("dump", f"{path}:f", "--stage", "program")
    assert code == 0, err
    assert "program" in out and "input[0]" in out


def test_a_step_that_runs_in_a_thread(command, script):
    path = script("import threading\nimport numpy as np\nimport tracejit as tj\n"
                  "f = tj.jit(lambda x: x + 1)\n"
                  "t = threading.Thread(target=f, args=(np.ones(3),))\n"
                  "t.start(); t.join()\n")  # fmt: skip
    code, out, err = command("dump", f"{path}:f", "--stage", "traced")
    assert (code, err) == (0, "") and "%x: f64[3]" in out


def test_except_exception_does_not_keep_it_running(command, script):
    path = script("import numpy as np\nimport tracejit as tj\nf = tj.jit(lambda x: x + 1)\n"
                  "try:\n    f(np.ones(3))\nexcept Exception:\n    print('caught')\n")  # fmt: skip
    code, _, err = command("dump", f"{path}:f")
    assert (code, err) == (0, "")


@pytest.fixture
def refused(capsys):
    """What a command says that is wrong from the start, in this process."""

    def run(*words):
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        assert (code, said.out) == (2, "")
        return said.err

    return run


def test_unknown_stage(refused):
    err = refused("dump", "x.py:f", "--stage", "fused,lops")
    listed = ", ".join(stages())
    assert f"no stage 'lops' (did you mean loops?); stages: {listed}, or all" in err


@pytest.mark.parametrize("target", ["train.py", "train.py:", ":f", "train.py:a b"])
def test_no_function_named(refused, target):
    said = f"tracejit: {target!r} names no function of a script: say script.py:function"
    assert said in refused("dump", target)


def test_no_such_script(refused, tmp_path):
    path = tmp_path / "no.py"
    assert f"tracejit: cannot read {path}: No such file" in refused("dump", f"{path}:f")


def test_no_such_function(command, script):
    path = script()
    code, _, err = command("dump", f"{path}:trainstep")
    assert code == 2
    assert f"tracejit: {path} has no function 'trainstep' (did you mean train_step?); " in err
    assert "jitted there: <lambda>, final_step, train_step" in err


def test_a_function_called_only_inside_a_step(command, script):
    code, _, err = command("dump", f"{script()}:loss_fn")
    assert code == 2
    assert "ended without calling loss_fn outside of other steps; jitted there: " in err
    assert "define example_inputs(), which returns arguments for loss_fn" in err


def test_a_script_that_fails_before(command, script):
    path = script("def f(x):\n    return x\n1 / 0\n")
    code, out, err = command("dump", f"{path}:f")
    assert (code, out) == (1, "")
    assert err.startswith("Traceback") and "ZeroDivisionError" in err
    assert "cli" not in err  # no frame of the command's own
    assert f"tracejit: {path} failed before it called f" in err


def test_a_function_that_cannot_be_traced(command, script):
    path = script("import numpy as np\ndef f(x):\n    return x[1:] + x\n"
                  "def example_inputs(): return np.ones(5)\n")  # fmt: skip
    code, out, err = command("dump", f"{path}:f")
    assert (code, out) == (1, "")
    assert "f64[4] and f64[5] do not broadcast" in err and "(train.py:3)" in err
    assert "cli" not in err


def test_colours_are_the_same_text(command, script):
    path = script()
    words = ("dump", f"{path}:train_step", "--stage", "fused,loops,llvm,numba")
    _, plain, _ = command(*words)
    code, coloured, _ = command(*words, FORCE_COLOR="1", TERM="xterm", COLUMNS="60")
    assert code == 0 and "\x1b[" in coloured and "\x1b[" not in plain

    def lines(text):
        text = ANSI.sub("", text)
        titles = r"(?m)^(?:[#;] )?train_step: \w+[ ─]*$"
        return [line.rstrip() for line in re.sub(titles, "", text).splitlines() if line.strip()]

    assert lines(coloured) == lines(plain)


@pytest.mark.skipif(os.name != "posix", reason="a closed pipe")
def test_a_reader_that_has_seen_enough(script):
    path = script()
    words = [sys.executable, "-W", "error", "-m", "tracejit", "dump", f"{path}:train_step"]
    process = subprocess.Popen(
        [*words, "--stage", "all"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
