"""Why kernels are not one: the reasons that the fusion log gives."""

import re

import numpy as np
import pytest

import tracejit as tj
from tracejit.ir.draft import MAX_MEMBERS
from tracejit.ir.fusion import fuse
from tracejit.ir.unfused import fusion_log

A = np.ones((6, 8), "f4")


def deep(x):
    for k in range(MAX_MEMBERS + 4):
        x = np.sin(x) * (k + 2.5)
    return x


CASES = {
    "one kernel": (lambda x: np.exp(x).sum(1), []),
    "product": (lambda x: np.exp(x) @ x.T, ["a matrix product reads its operands in blocks"]),
    "row of a product": (
        lambda x: (x @ x.T).max(1),
        [r"parallel over \[6\], and it over \[6, 6\]"],
    ),
    "assemble": (
        lambda x: np.exp(np.concatenate([x, np.sin(x)])),
        ["assemble kernels hold nothing else"],
    ),
    "limit": (deep, [f"together \\d+ operations, and {MAX_MEMBERS} is the limit"]),
    "in between": (
        lambda x: (z := x @ x.T) * ((np.sin(z) @ x) @ x.T),
        [r"kernel \d+ runs between them"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons(name):
    f, expected = CASES[name]
    fused = fuse(tj.make_graph(f)(A))
    text = fusion_log(fused)
    kernels = re.findall(r"^kernel (\d+): (\w+) over ", text, re.MULTILINE)
    assert [int(number) for number, _ in kernels] == list(range(len(fused.groups)))
    assert [kind for _, kind in kernels] == [group.kind for group in fused.groups]
    reasons = re.findall(r"^  not with kernel \d+: (.*)$", text, re.MULTILINE)
    assert bool(reasons) == (len(fused.groups) > 1)
    for reason in expected:
        assert any(re.match(reason, line) for line in reasons), text
