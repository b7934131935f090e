"""`tracejit view`: one page of a folder of dumps."""

import json
import re


def test_a_profiled_run_as_a_page(command, script, tmp_path):
    dumps = tmp_path / "dumps"
    code, _, err = command("run", "--profile", script(), TRACEJIT_DUMP_DIR=str(dumps))
    assert code == 0, err
    code, out, err = command("view", dumps)
    assert (code, out.strip()) == (0, str(dumps / "index.html")), err
    page = (dumps / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    step = json.loads(found[1])["train_step-0"]
    assert {"traced", "fused", "program", "llvm", "numba"} <= set(step["stages"])
    assert "dot_general" in step["stages"]["traced"]
    lines = dict(step["source"])
    assert any("np.tanh(x @ w).mean()" in text for text in lines.values())
    # Every place that a stage names is a line of the source list.
    named = set(re.findall(r"# (?:grad of )?(train\.py:\d+)\n", step["stages"]["traced"]))
    assert named and named <= set(lines)
    assert "roofline" in step["profile"] and "contraction" in step["profile"]
    # What users wrote cannot end the element, and nothing is fetched.
    assert "<" not in found[1] and "http" not in page.replace(found[1], "")


def test_no_dumps(command, tmp_path):
    code, _, err = command("view", tmp_path / "none")
    assert code == 2 and "there is no folder" in err
    (tmp_path / "empty").mkdir()
    code, _, err = command("view", tmp_path / "empty")
    assert code == 2 and "holds no dumps; run the script with" in err
