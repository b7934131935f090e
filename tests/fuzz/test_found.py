"""Graphs that the fuzzer found faults in. They are compiled here as they were reported."""

from __future__ import annotations

import pytest

from tests.fuzz.backends import replay

FOUND = {
    "an output that is a constant": """
func fuzz():
  %0: f32[11] = iota shape=(11,) axis=0 dtype=f32
  return %0
""",
    "an output that is an index map and is read as well": """
func fuzz(%x1: i32[8,7], %x2: i16[], %x3: i16[8,7]):
  %0: bool[8,7] = cast %x1 dtype=bool
  %1: i16[8,7] = broadcast %x2 shape=(8,7) axes=()
  %2: i16[8,7] = transpose %1 perm=(0,1)
  %3: i16[8,7] = select %0, %2, %x3
  return %3, %2
""",
    "rows beyond 2**63": """
func fuzz(%x0: u64[3,13]):
  %1: u64[3,13,13] = gather_rows %x0, %x0
  return %1
""",
    "an empty shape": """
func fuzz(%x0: u16[5,0,5]):
  %0: u16[5,0,5] = neg %x0
  return %0, %0
""",
    "an index map copied for a later reader": """
func fuzz(%x1: i8[31], %x2: i8[], %x3: u16[1]):
  %0: i8[] = reduce_sum %x1 axes=(0,)
  %1: i8[31] = broadcast %0 shape=(31,) axes=()
  %2: i8[31] = not %1
  %3: i8[1] = gather_rows %2, %x3
  %4: i8[] = gather_rows %1, %x2
  return %3, %4
""",
    "a sum over axes of size 1 that a reshape leaves over": """
func fuzz(%x6: f64[1,4,1,3], %x1: f64[12]):
  %0: f64[1] = slice %x1 start=(0,) stop=(1,) step=(1,)
  %1: f64[1,1,1,1] = reshape %0 shape=(1,1,1,1)
  %2: f64[3,1,3,1] = conv_weight_grad %x6, %1 strides=(2,) dilation=(1,) window=(3,)\
 low=(0,) high=(0,)
  return %2
""",
    "a batch of no products": """
func fuzz(%x1: f32[0,0,1], %x2: f32[0,1]):
  %0: f32[0,0] = dot_general %x1, %x2 contract=((2,),(1,)) batch=((0,),(0,))
  return %0
""",
    "a constant that is stored and read through a broadcast": """
func fuzz(%x2: i64[31]):
  %0: i8[] = full value=2 shape=() dtype=i8
  %1: i8[31] = broadcast %0 shape=(31,) axes=()
  %2: bool[31] = cast %1 dtype=bool
  %3: i64[31] = cast %1 dtype=i64
  %4: i64[31] = select %2, %x2, %3
  return %4, %0
""",
}


@pytest.mark.parametrize("what", FOUND)
@pytest.mark.parametrize("backend", ["nests", "plan", "llvm"])
def test_found_faults_are_gone(backend: str, what: str) -> None:
    fault = replay(backend, 0, FOUND[what])
    assert fault is None, str(fault)
