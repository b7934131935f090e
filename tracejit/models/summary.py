"""The table that `model.summary()` prints."""

from __future__ import annotations

from typing import Any

from tracejit import tree
from tracejit.nn import symbolic
from tracejit.nn.layer import Layer


def summary(model: Any, width: int | None, print_fn: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    if not model.built:
        raise ValueError(f"{model.name}: summary of a model that is not built: call it, or build")
    console = Console(width=width, record=print_fn is not None, quiet=False)
    table = Table(title=f'Model: "{model.name}"')
    for name in ("Layer (type)", "Output shape", "Parameters", "FLOPs"):
        table.add_column(name, justify="left" if name[0] in "LO" else "right")
    for layer, shape, flops in rows(model):
        label = f"{layer.name} ({type(layer).__name__})"
        table.add_row(label, shape, f"{layer.count_params():,}", f"{flops:,}")
    trained = sum(v.size for v in model.trainable_variables)
    total = model.count_params()
    footer = f"Parameters: {total:,} ({trained:,} trained, {total - trained:,} not)"
    if print_fn is None:
        console.print(table, footer, sep="\n")
        return
    with console.capture() as captured:
        console.print(table, footer, sep="\n")
    print_fn(captured.get())


def rows(model: Any) -> list[tuple[Layer, str, int]]:
    """Per layer the shape of its output and its FLOPs for one example."""
    seen: dict[int, tuple[str, int]] = {}
    patched = [layer for layer in model.layers]

    def watch(layer: Layer) -> Any:
        def call(*args: Any, **keywords: Any) -> Any:
            symbols = tree.map(_as_symbol, (args, keywords))
            out = symbolic.record(type(layer).call.__get__(layer), *symbols)
            leaves = tree.leaves(out)
            shapes = ", ".join(_shape(s) for s in leaves)
            seen[id(layer)] = (shapes, leaves[0].call.flops if leaves else 0)
            return type(layer).call(layer, *args, **keywords)

        return call

    try:
        for layer in patched:
            layer.__dict__["call"] = watch(layer)
        types = model.input_types
        is_leaf = isinstance(types, tuple) and isinstance(types[1], str)
        model(_symbol(types) if is_leaf else _symbols(types))
    finally:
        for layer in patched:
            layer.__dict__.pop("call", None)
    return [(layer, *seen.get(id(layer), ("not called", 0))) for layer in model.layers]


def _symbol(given: Any) -> symbolic.Symbol:
    shape, dtype = given
    return symbolic.Symbol(tuple(shape), dtype, "x")


def _symbols(types: Any) -> Any:
    if isinstance(types, dict):
        return {k: _symbols(v) for k, v in types.items()}
    if isinstance(types, list | tuple) and len(types) == 2 and isinstance(types[1], str):
        return _symbol(types)
    return [_symbols(t) for t in types]


def _as_symbol(value: Any) -> Any:
    if hasattr(value, "node"):
        return symbolic.Symbol(symbolic.sizes(value.shape), value.dtype, "x")
    return value


def _shape(symbol: symbolic.Symbol) -> str:
    return "(" + ", ".join("None" if n is None else str(n) for n in symbol.shape) + ")"
