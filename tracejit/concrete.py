"""The error for code that needs a value where the trace has only a type."""

from __future__ import annotations

import re

from tracejit.errors import ConcretizationError
from tracejit.ir.graph import Node
from tracejit.source import here, user_line

_BRANCH = re.compile(r"(if|elif|while|assert)\b\s*(.*?):?\s*(#.*)?$")

_WAY_OUT = {
    "float": "Use np's functions, not math's and float(); .astype(np.float32) changes the dtype",
    "int": "Sizes and loop counts must be Python ints: name the argument in static_argnames",
    "index": "Sizes and loop counts must be Python ints: name the argument in static_argnames",
    "array": "For np.array of a list of traced values use np.stack; to index a NumPy array with a"
    " traced index, tracejit.numpy.take(table, index, axis=0)",
    "format": "Return the value and print it outside, or trace with tj.disable_jit()",
}
_ANYWHERE = "Return the value from the function, or run it under tj.disable_jit() to look at it"


def concretization_error(
    node: Node, wanted: str, when: str = "while jit traces"
) -> ConcretizationError:
    """wanted: what Python asked for: bool, float, int, index, array, format, item, tolist."""
    what = f"{node.op}: {node.type} has no value {when}"
    if wanted == "bool":
        return ConcretizationError(f"{what}, so Python cannot branch on it{here()}.{_rewrite()}")
    return ConcretizationError(
        f"{what}, so {wanted}() of it is not known{here()}: `{user_line()}`."
        f" {_WAY_OUT.get(wanted, _ANYWHERE)}."
    )


def _rewrite() -> str:
    """The user's line, and the same with the branch as an operation."""
    line = user_line()
    match = _BRANCH.match(line)
    if match is None:
        return (
            f"\n    {line}\nPut `and`, `or`, `not`, min() and max() as np.logical_and,"
            " np.logical_or, np.logical_not, np.minimum, np.maximum; a conditional as"
            " tj.where(pred, a, b)."
        )
    keyword, condition = match[1], match[2]
    rewrites = {
        "while": f"state = tj.while_loop(lambda state: {condition}, body, state)",
        "assert": "a check outside the traced function",
    }
    chosen = (
        f"result = tj.where({condition}, value_if_true, value_if_false)\n"
        f"    result = tj.cond({condition}, if_true, if_false, *operands)  # only one of them runs"
    )
    return (
        f"\n    {line}\nWrite it as\n    {rewrites.get(keyword, chosen)}\n"
        "or make the argument static: static_argnames."
    )
