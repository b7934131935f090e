"""What every step needs of the runtime, compiled ahead: beside kernels rather than after them."""

from __future__ import annotations

from tracejit.codegen.runtime import entry_ir, layout, native, team_ir


def prepare() -> None:
    """Compiles the team and the entry, where neither this process nor an earlier one has."""
    native.object_code(team_ir.text())
    if layout.layout_ok():
        native.object_code(entry_ir.text())
