"""TRACEJIT_LOG and TRACEJIT_DUMP_DIR, on an example with all of them on."""

import re
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj
from tracejit.dumps import stages
from tracejit.ir import config
from tracejit.ir.log import Stopwatch, log

EXAMPLES = Path(__file__).parents[2] / "examples"
LINE = re.compile(r"\[tracejit (\w+)\] ")


def by_topic(err):
    """The lines of each topic; every line of a log has one."""
    lines: dict[str, list[str]] = {}
    for line in err.splitlines():
        match = LINE.match(line)
        assert match, line
        lines.setdefault(match[1], []).append(line[match.end() :])
    return lines


def test_an_example_with_every_log_on(python, tmp_path):
    topics = ",".join(config.LOG_TOPICS)
    folder = tmp_path / "dumps"
    code, out, err = python(
        EXAMPLES / "digits.py",
        TRACEJIT_LOG=topics,
        TRACEJIT_DUMP_DIR=str(folder),
        TRACEJIT_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert code == 0, err
    assert "test accuracy" in out
    lines = by_topic(err)
    assert set(lines) == set(config.LOG_TOPICS) - {"retrace"}

    assert any(re.match(r"train_step: \d+ nodes$", line) for line in lines["trace"])
    assert any(re.match(r"  # digits.py:\d+$", line) for line in lines["trace"])
    assert any(re.match(r"  %\d+: f32\[64,256\] = dot_general ", line) for line in lines["trace"])
    assert re.match(r"train_step: simplify: \d+ -> \d+ nodes, ", lines["passes"][0])
    kernels = [line for line in lines["fusion"] if line.startswith("kernel ")]
    assert any(re.match(r"kernel \d+: contraction over \[", line) for line in kernels)
    assert any("not with kernel" in line for line in lines["fusion"])
    compiled = r"train_step: k\w+ row tj_[0-9a-f]+: compiled with \d+ more \(emit [\d.]+, compile "
    assert any(re.match(compiled, line) for line in lines["kernels"])
    assert re.match(rf"0 hits, \d+ misses in {tmp_path}", lines["cache"][0])
    for timed in (
        "trace [\\d.]+ ms",
        "stages: passes .*, fusion .*, lower .*, schedule .* = .* ms",
        "stages .*, emit and compile .*, link .* = .* ms",
    ):
        assert any(re.match(f"train_step: {timed}", line) for line in lines["times"]), timed

    assert sorted(path.name for path in folder.iterdir()) == ["forward-0", "train_step-0"]
    suffixes = {"llvm": ".ll", "asm": ".s", "numba": ".py"}
    names = {stage + suffixes.get(stage, ".txt") for stage in stages()} | {"source.txt"}
    for step in folder.iterdir():
        assert {path.name for path in step.iterdir()} == names
        assert all(path.read_text().strip() for path in step.iterdir())


def test_retraces_are_explained(python, script):
    code, _, err = python(script(), TRACEJIT_LOG="retrace")
    assert code == 0
    assert by_topic(err) == {
        "retrace": ["train_step is traced again: x: f32[6,8] -> f32[4,8]"]
    }  # fmt: skip


def test_the_cache_says_hit_or_miss_of_each_kernel(python, script, tmp_path):
    path, folder = script(), str(tmp_path / "cache")
    code, _, err = python(path, TRACEJIT_LOG="cache", TRACEJIT_CACHE_DIR=folder)
    first = by_topic(err)["cache"]
    code, _, err = python(path, TRACEJIT_LOG="cache,kernels", TRACEJIT_CACHE_DIR=folder)
    second = by_topic(err)
    assert code == 0

    def units(lines, word):
        return [line.split()[1:] for line in lines if line.split()[0] == word]

    assert units(first, "miss") and not units(first, "hit")
    assert units(second["cache"], "hit") == units(first, "miss")
    assert not units(second["cache"], "miss")
    assert all("compiled" not in line for line in second["kernels"])
    assert any(line.endswith("from the disk cache") for line in second["kernels"])


def test_unknown_topics_are_named_once(python, script):
    path = script("import numpy as np, tracejit as tj\nf = tj.jit(lambda x: x + 1)\n"
                  "f(np.ones(3)); f(np.ones(4))\n")  # fmt: skip
    code, _, err = python("-W", "always", path, TRACEJIT_LOG="pases, times,fusoin")
    assert code == 0
    assert err.count("TRACEJIT_LOG") == 1
    listed = ", ".join(config.LOG_TOPICS)
    assert f"TRACEJIT_LOG: no topic 'fusoin', 'pases'; topics: {listed}" in err
    assert "[tracejit times]" in err


def test_topics_may_have_spaces():
    with config.override("log", " trace , cache"):
        assert config.logging("trace") and config.logging("cache") and not config.logging("times")


def test_each_line_of_a_message_has_its_topic(capsys):
    with config.override("log", "passes"):
        log("passes", "a\nb")
        log("times", "c")
    assert capsys.readouterr().err == "[tracejit passes] a\n[tracejit passes] b\n"


def test_stopwatch():
    watch = Stopwatch()
    laps = [watch.lap("emit"), watch.lap("link"), watch.lap("emit")]
    assert list(watch.seconds) == ["emit", "link"]
    assert watch.seconds["emit"] == laps[0] + laps[2]
    assert watch.total == pytest.approx(sum(laps))
    assert re.fullmatch(r"emit [\d.]+, link [\d.]+ = [\d.]+ ms", str(watch))


def test_dumps_of_several_compiles_lie_side_by_side(tmp_path):
    step = tj.jit(lambda x: x + 1)
    with config.override("dump_dir", str(tmp_path / "new" / "folder")):
        for size in (3, 4):
            step.lower(np.ones(size)).cost()
    folders = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert folders == ["lambda-0", "lambda-1"]
    text = (tmp_path / "new" / "folder" / "lambda-1" / "traced.txt").read_text()
    assert "f64[4]" in text


def test_a_dump_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    step = tj.jit(lambda x: x + 1)
    with (
        config.override("dump_dir", str(tmp_path / "file")),
        pytest.warns(UserWarning, match="TRACEJIT_DUMP_DIR: nothing written: "),
    ):
        step.lower(np.ones(3)).cost()
