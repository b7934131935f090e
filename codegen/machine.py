"""The machine model: the few numbers that schedules are made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracejit.codegen.runtime.toolchain import Host, host
from tracejit.ir.types import BOOL, I64, U64, DType, is_float


@dataclass(frozen=True, slots=True)
class Machine:
    """A CPU core. vector_bytes: one register. registers: how many of them.

    in_flight: multiply-adds that must be under way at once to keep all units busy.
    """

    vector_bytes: int
    registers: int
    fma: bool
    l1: int
    l2: int
    in_flight: int = 10  # of two units, each with a result after 4 to 5 cycles

    @property
    def column_vectors(self) -> int:
        """Vectors side by side in a register tile of a matrix product: 6 x 2 of 16 registers and
        6 x 4 of 32 leave room for what is being multiplied, and keep both units busy."""
        return 4 if self.registers == 32 else 2

    def lanes(self, dtypes: Iterable[DType]) -> int:
        """Elements of one vector for a kernel over these dtypes.

        The widest float decides, else the widest integer that is not an index; what is wider takes
        several registers, what is narrower a part of one.
        """
        found = set(dtypes) - {BOOL}
        sizes = [d.itemsize for d in found if is_float(d)]
        sizes = sizes or [d.itemsize for d in found - {I64, U64}] or [8 if found else 1]
        return max(self.vector_bytes // max(max(sizes), 2), 1)


def machine_of(machine: Host) -> Machine:
    wide = machine.vector_bits == 512
    arm = machine.triple.startswith(("aarch64", "arm64"))
    return Machine(
        vector_bytes=machine.vector_bits // 8,
        registers=32 if wide or arm else 16,
        fma=machine.has_fma,
        l1=machine.l1,
        l2=machine.l2,
        # Zen 4 computes 512 bits in both of its units together.
        in_flight=5 if wide and machine.cpu == "znver4" else 10,
    )


def this_machine() -> Machine:
    return machine_of(host())
