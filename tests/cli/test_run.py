"""`tracejit run script.py args...`."""

import re

import pytest


def test_every_compile_is_shown(command, script):
    code, out, err = command("run", "--dump", "traced,fused,program", script(), "--epochs", "1")
    assert (code, err) == (0, "")
    assert re.findall(r"^# (.+)$", out, re.MULTILINE)[:1] == ["train_step, compile 1: traced"]
    titles = [line for line in out.splitlines() if re.match(r"# .*, compile \d: ", line)]
    assert titles == [
        f"# {step}: {stage}"
        for step in ("train_step, compile 1", "train_step, compile 2", "<lambda>, compile 1")
        for stage in ("traced", "fused", "program")
    ]
    assert "%x: f32[6,8]" in out and "%x: f32[4,8]" in out
    # In the order in which things happen.
    assert out.index("words --epochs 1") < out.index("compile 1") < out.index("\nloss ")


def test_without_dump_the_script_alone_is_heard(command, python, script):
    path = script()
    assert command("run", path, "a", "--dump", "b") == python(path, "a", "--dump", "b")


def test_interpreted_gives_the_same_losses(command, script):
    path = script()
    _, compiled, _ = command("run", path)
    code, out, err = command("run", "--interpret", "--dump", "traced", path)
    assert (code, err) == (0, "")
    assert "# train_step, compile 2: traced" in out

    def figures(text):
        return [float(x) for x in re.findall(r"^(?:loss|sum) (.*)$", text, re.MULTILINE)]

    assert len(figures(out)) == 2
    assert figures(out) == pytest.approx(figures(compiled), rel=1e-5)


def test_interpreting_has_no_later_stages(command, script):
    code, out, err = command("run", "--interpret", "--dump", "traced,asm", script())
    assert (code, out) == (2, "")
    assert "there is no stage asm; there are traced, optimized" in err


def test_a_profile_tells_of_every_kernel(command, script):
    code, out, err = command("run", "--profile", script())
    assert (code, err) == (0, "")
    assert out.index("\nsum ") < out.index("# profile: peak ")
    title, *steps = re.findall(r"^# (.*, compile \d): (\d+) kernels, (\d+) runs", out, re.MULTILINE)
    assert title[0] == "train_step, compile 1" and title[2] == "2"
    assert [(name, runs) for name, _, runs in steps] == [
        ("train_step, compile 2", "1"),
        ("<lambda>, compile 1", "1"),
    ]
    table = out[out.index("# train_step, compile 1") : out.index("# train_step, compile 2")]
    row = r"^k\w+ +(\w+) +([\d.]+)% +([\d.]+) .* (?:grad of )?train.py:\d+$"
    rows = re.findall(row, table, re.MULTILINE)
    assert len(rows) == int(title[1])
    assert "contraction" in [kind for kind, _, _ in rows]
    assert sum(float(part) for _, part, _ in rows) == pytest.approx(100, abs=0.1 * len(rows))
    assert all(float(least) >= 0 for _, _, least in rows)


def test_a_profile_of_what_is_not_compiled(command, script):
    code, out, err = command("run", "--profile", "--interpret", script())
    assert (code, out) == (2, "")
    assert "--profile times compiled kernels, and --interpret compiles none" in err
    code, out, _ = command("run", "--profile", script("print(1)"))
    assert (code, out) == (0, "1\n# profile: no step was compiled\n")


def test_traced_is_shown_even_if_compiling_fails(command, script):
    path = script(
        "import numpy as np\nimport tracejit as tj\nimport tracejit.codegen.objects as o\n"
        "def broken(*a, **k): raise RuntimeError('no code')\no.compile_ir = broken\n"
        "tj.jit(lambda x: np.exp(x) * 3)(np.ones(3))\n"
    )
    code, out, err = command("run", "--dump", "traced,fused", path, TRACEJIT_CACHE="0")
    assert code == 1
    assert "func <lambda>" in out or "lambda" in out
    assert "mul" in out and "fused" not in out and "RuntimeError: no code" in err


def test_the_script_s_exit_code(command, script):
    assert command("run", script("raise SystemExit(7)"))[0] == 7
    code, _, err = command("run", script("import sys\nsys.exit('bad data')"))
    assert code == 1 and err == "bad data\n"


def test_an_error_is_shown_as_python_shows_it(command, python, script):
    path = script("def f():\n    return 1 / 0\nf()\n")
    assert command("run", path) == python(path)


def test_a_syntax_error(command, script):
    code, _, err = command("run", script("def f(:\n"))
    assert code == 1 and "SyntaxError" in err and "cli" not in err


def test_the_script_is_main_and_its_folder_importable(command, script):
    script("value = 3", "beside.py")
    path = script("import sys, beside\nassert sys.modules['__main__'].__file__ == __file__\n"
                  "assert __name__ == '__main__'\n"
                  "print(beside.value, __file__ == sys.argv[0])\n")  # fmt: skip
    assert command("run", path) == (0, "3 True\n", "")
