"""The LLVM tool chain: compile, link, call; errors that show the line; parallel compilation."""

import ctypes

import pytest

from tracejit.codegen.runtime import toolchain

TWICE = """
define i64 @twice{n}(i64 %x) {{
  %y = add i64 %x, %x
  ret i64 %y
}}
"""


def function(linked, name):
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(linked.address(name))


def test_host_is_plausible():
    host = toolchain.host()
    assert host.vector_bits in (128, 256, 512)
    assert 8 << 10 <= host.l1 <= host.l2
    assert host.triple and host.cpu and "llvmlite" in host.llvm


@pytest.mark.parametrize(
    ("features", "bits"),
    [
        ({"avx512f": True, "avx512vl": True, "avx512bw": True, "avx512dq": True}, 512),
        ({"avx512f": True, "avx2": True, "fma": True}, 256),
        ({"avx2": True}, 128),
        ({}, 128),
    ],
)
def test_vector_bits(features, bits):
    assert toolchain._vector_bits(features) == bits


def test_compile_link_call():
    linked = toolchain.link(
        toolchain.compile_ir([TWICE.format(n=n) for n in range(5)]),
        [f"twice{n}" for n in range(5)],
        {},
    )
    assert [function(linked, f"twice{n}")(21) for n in range(5)] == [42] * 5


def test_imports_are_bound_by_address():
    plus_one = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: x + 1)
    text = """
    declare i64 @outside(i64)
    define i64 @f(i64 %x) {
      %y = call i64 @outside(i64 %x)
      ret i64 %y
    }
    """
    address = ctypes.cast(plus_one, ctypes.c_void_p).value
    linked = toolchain.link(toolchain.compile_ir([text]), ["f"], {"outside": address})
    assert function(linked, "f")(6) == 7


def test_threads_change_no_bit_of_the_code():
    texts = ["".join(TWICE.format(n=f"{m}_{n}") for n in range(20)) for m in range(6)]
    assert toolchain.compile_ir(texts, threads=1) == toolchain.compile_ir(texts, threads=3)


def test_without_llvmlite_private_names(monkeypatch):
    expected = toolchain.compile_ir([TWICE.format(n=0)]), toolchain.assembly(TWICE.format(n=0))
    monkeypatch.setattr(toolchain, "_raw", lambda name: None)
    assert toolchain.compile_ir([TWICE.format(n=0)]) == expected[0]
    assert toolchain.assembly(TWICE.format(n=0)) == expected[1]


def test_the_lock_free_path_is_in_use():
    assert toolchain._raw("LLVMPY_TargetMachineEmitToMemory") is not None


def test_assembly():
    assert "twice0" in toolchain.assembly(TWICE.format(n=0))


SYNTAX = "define float @f(i32 %x) {\n  %y = fadd i32 %x, %x\n  ret float %y\n}"
DOMINANCE = """define i32 @f(i1 %c) {
  br i1 %c, label %a, label %b
a:
  %x = add i32 1, 2
  br label %b
b:
  %y = add i32 %x, 2
  ret i32 %y
}"""


@pytest.mark.parametrize(
    ("text", "line"), [(SYNTAX, r">    2   %y = fadd"), (DOMINANCE, r">    7   %y = add")]
)
@pytest.mark.parametrize("copies", [1, 2])
def test_invalid_ir_shows_the_line(text, line, copies):
    with pytest.raises(toolchain.CompilerError, match=line):
        toolchain.compile_ir([text] * copies, threads=2)


def test_missing_symbols():
    with pytest.raises(toolchain.CompilerError, match="absent"):
        toolchain.link(toolchain.compile_ir([TWICE.format(n=0)]), ["absent"], {})
    unbound = "declare void @nowhere_at_all()\ndefine void @f() {\n call void @nowhere_at_all()\n"
    with pytest.raises(toolchain.CompilerError, match="linking failed"):
        toolchain.link(toolchain.compile_ir([unbound + " ret void\n}"]), ["f"], {})


def test_what_is_not_object_code():
    with pytest.raises(toolchain.CompilerError, match="object file"):
        toolchain.link([b"not object code at all"], ["f"], {})
