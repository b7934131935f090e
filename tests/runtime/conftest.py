"""Programs in LLVM IR that the tests of the runtime run, and scripts run by another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.entries import COPY, COPY_WORD, COUNTS, IR
from tracejit.codegen.runtime import layout, toolchain
from tracejit.codegen.runtime.entry import make_entry
from tracejit.codegen.runtime.team import team

ROOT = Path(__file__).parents[2]

PROGRAMS = """
declare void @tj_barrier(ptr, i64, i64)

; table: an array of i64; every thread adds 1 to its own
define void @count(ptr %table, i64 %tid, i64 %nthreads, ptr %team) {
  %at = getelementptr i64, ptr %table, i64 %tid
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at
  ret void
}

; table: i64 mistakes, then one i64 per thread. In 2000 rounds every thread writes the round's
; number, meets the others, adds up what all wrote, and meets them again; a wrong sum is a mistake.
define void @rounds(ptr %table, i64 %tid, i64 %nthreads, ptr %team) {
entry:
  %slots = getelementptr i64, ptr %table, i64 1
  %mine = getelementptr i64, ptr %slots, i64 %tid
  br label %round
round:
  %r = phi i64 [ 1, %entry ], [ %r.next, %end ]
  store i64 %r, ptr %mine
  call void @tj_barrier(ptr %team, i64 %tid, i64 %nthreads)
  br label %add
add:
  %k = phi i64 [ 0, %round ], [ %k.next, %add ]
  %sum = phi i64 [ 0, %round ], [ %sum.next, %add ]
  %at = getelementptr i64, ptr %slots, i64 %k
  %value = load i64, ptr %at
  %sum.next = add i64 %sum, %value
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %nthreads
  br i1 %more, label %add, label %check
check:
  %expected = mul i64 %r, %nthreads
  %wrong = icmp ne i64 %sum.next, %expected
  %mistake = zext i1 %wrong to i64
  %ignored = atomicrmw add ptr %table, i64 %mistake monotonic
  call void @tj_barrier(ptr %team, i64 %tid, i64 %nthreads)
  br label %end
end:
  %r.next = add i64 %r, 1
  %again = icmp ule i64 %r.next, 2000
  br i1 %again, label %round, label %out
out:
  ret void
}

; table: i64 inside, i64 clashes. Thread 0 says that it is inside for a while: no one else may be.
define void @alone(ptr %table, i64 %tid, i64 %nthreads, ptr %team) {
entry:
  %first = icmp eq i64 %tid, 0
  br i1 %first, label %enter, label %out
enter:
  %was = atomicrmw add ptr %table, i64 1 seq_cst
  %clashes.at = getelementptr i64, ptr %table, i64 1
  %ignored = atomicrmw add ptr %clashes.at, i64 %was seq_cst
  br label %spin
spin:
  %i = phi i64 [ 0, %enter ], [ %i.next, %spin ]
  %seen = load volatile i64, ptr %table
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, 20000
  br i1 %more, label %spin, label %leave
leave:
  %left = atomicrmw sub ptr %table, i64 1 seq_cst
  br label %out
out:
  ret void
}
"""


@pytest.fixture(scope="session")
def programs():
    """Addresses of the programs above, by name; usable as `programs["count"]`."""
    names = ("count", "rounds", "alone")
    linked = toolchain.link(
        toolchain.compile_ir([PROGRAMS]), names, {"tj_barrier": team().symbols["tj_barrier"]}
    )
    yield {name: linked.address(name) for name in names}
    del linked


@pytest.fixture(scope="session")
def run_script(tmp_path_factory):
    """Runs Python source in a process of its own; returns what it printed. Fails if that fails."""
    cache = tmp_path_factory.mktemp("cache")
    prelude = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"

    def run(source, *, returncode=0, timeout=60, **environment):
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "TRACEJIT_CACHE_DIR": str(cache)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-X", "faulthandler", "-c", prelude + source],
            env={**variables, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == returncode, done.stdout + done.stderr
        if returncode == 0:
            assert done.stderr == ""
        return done.stdout

    return run


@pytest.fixture(scope="module")
def code():
    copies = [
        COPY.format(n=n, body="".join(COPY_WORD.format(k=k) for k in range(n))) for n in COUNTS
    ]
    names = ["add", "bump", "nothing", "on_captured", *(f"copy_{n}" for n in COUNTS)]
    return toolchain.link(toolchain.compile_ir([IR + "".join(copies)]), names, {})


@pytest.fixture(params=["native", "python"])
def entry(request, code, monkeypatch, programs):
    """`entry(program, args, outs, ...)` makes an entry of either kind."""
    if request.param == "native" and not layout.layout_ok():
        pytest.skip("this interpreter has the Python entry only")
    monkeypatch.setattr(layout, "layout_ok", lambda: request.param == "native")

    def make(
        program, args, outs=(), captured=(), arena=0, nthreads=1, release_gil=False, slow=None
    ):
        known = program if isinstance(program, int) else programs.get(program)
        address = code.address(program) if known is None else known
        made = make_entry(
            address,
            args,
            outs,
            captured,
            arena,
            nthreads,
            release_gil,
            slow or (lambda *values: ("slow", values)),
            keep=code,
        )
        assert made.native == (request.param == "native")
        return made.call

    return make
