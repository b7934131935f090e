"""einsum: diagonals, sums, and one `dot_general` for each further operand."""

from __future__ import annotations

from itertools import combinations
from math import prod
from string import ascii_letters
from typing import Any

import numpy as np

from tracejit.contraction import contract
from tracejit.functions import lift, traces
from tracejit.ir.graph import Node
from tracejit.ir.types import BOOL, ShapeError
from tracejit.lowering import broadcast_to, emit
from tracejit.movement import astype, promoted
from tracejit.source import here
from tracejit.tracer import Tracer

_LETTERS = "".join(sorted(ascii_letters))
# Labels of the axes that an ellipsis stands for, the last axis last.
_SPARE = "".join(chr(c) for c in range(0x100, 0x120))


@traces(np.einsum)
def einsum(subscripts: Any, *operands: Any, dtype: Any = None, optimize: Any = False) -> Any:
    """Pairs are contracted in the order of least intermediate size, whatever `optimize` says.

    subscripts: NumPy's notation, "..." included; or operands and lists of axes in turn.
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _named_axes(subscripts, *operands)
    values = promoted(operands)
    if dtype is not None:
        values = [lift(astype(v, dtype)) for v in values]
    terms, result = _parse(subscripts.replace(" ", ""), values)
    for position, (term, value) in enumerate(zip(terms, values, strict=True)):
        terms[position], values[position] = _diagonal(term, value)
    while len(terms) > 1:
        i, j = _smallest_pair(terms, values, result)
        later = set(result).union(*(t for n, t in enumerate(terms) if n not in (i, j)))
        term, value = _pair(terms[i], values[i], terms[j], values[j], later)
        terms = [t for n, t in enumerate(terms) if n not in (i, j)] + [term]
        values = [v for n, v in enumerate(values) if n not in (i, j)] + [value]
    term, value = _summed(terms[0], values[0], set(result))
    return np.transpose(value, [term.index(label) for label in result])


def _smallest_pair(terms: list[str], values: list[Tracer], result: str) -> tuple[int, int]:
    """The pair whose product is smallest; of equals the first."""
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        sizes.update(zip(term, value.shape, strict=True))

    def size(pair: tuple[int, int]) -> int:
        others = set(result).union(*(t for n, t in enumerate(terms) if n not in pair))
        return prod(sizes[c] for c in set(terms[pair[0]] + terms[pair[1]]) & others)

    return min(combinations(range(len(terms)), 2), key=size)


def _named_axes(*given: Any) -> tuple[str, tuple[Any, ...]]:
    """einsum(a, [0, 1], b, [1, 2], [0, 2]) as subscripts and operands."""
    operands, axes = given[0::2], given[1::2]
    result = None
    if len(given) % 2:
        operands, result = operands[:-1], operands[-1]

    def letters(labels: Any) -> str:
        named = ("..." if label is Ellipsis else _LETTERS[label] for label in labels)
        return "".join(named)

    terms = ",".join(map(letters, axes))
    return terms if result is None else f"{terms}->{letters(result)}", operands


def _parse(subscripts: str, values: list[Tracer]) -> tuple[list[str], str]:
    """The labels of each operand and of the result; an ellipsis becomes capital letters unused.

    Axes of size 1 in `values` are broadcast to the size that other operands give their label.
    """
    left, arrow, result = subscripts.partition("->")
    terms, dots = _spelled_out(subscripts, left.split(","), values)
    result = result.replace("...", dots) if arrow else dots + _named_once(terms, dots)
    for label in result:
        if result.count(label) > 1 or not any(label in term for term in terms):
            raise ShapeError(
                f"einsum: {subscripts!r}: {label!r} of the result must be in the operands, and in"
                f" the result once{here()}"
            )
    sizes = _sizes(subscripts, terms, values)
    for position, (term, value) in enumerate(zip(terms, values, strict=True)):
        shape = tuple(sizes[label] for label in term)
        values[position] = value.home.wrap(broadcast_to(value.node, shape))
    return terms, result


def _spelled_out(subscripts: str, terms: list[str], values: list[Tracer]) -> tuple[list[str], str]:
    """Terms with labels for the axes of their ellipses, and the labels of the longest one."""
    if len(terms) != len(values):
        raise ShapeError(
            f"einsum: {subscripts!r} names {len(terms)} operands, given {len(values)}{here()}"
        )
    full, most = [], 0
    for term, value in zip(terms, values, strict=True):
        count = value.ndim - len(term.replace("...", ""))
        if count < 0 or (count and "..." not in term):
            raise ShapeError(f"einsum: {term!r} does not fit {value.node.type}{here()}")
        most = max(most, count)
        full.append(term.replace("...", _SPARE[len(_SPARE) - count :]))
    return full, _SPARE[len(_SPARE) - most :]


def _named_once(terms: list[str], dots: str) -> str:
    """The labels of a result that is not written out, besides those of its ellipsis."""
    labels = "".join(terms)
    return "".join(sorted(c for c in set(labels) if labels.count(c) == 1 and c not in dots))


def _sizes(subscripts: str, terms: list[str], values: list[Tracer]) -> dict[str, int]:
    """The size of each label."""
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        for label, size in zip(term, value.shape, strict=True):
            known = sizes.setdefault(label, size)
            if size != known and 1 not in (size, known):
                raise ShapeError(
                    f"einsum: {subscripts!r}: sizes {known} and {size} of {label!r} differ{here()}"
                )
            if known == 1:
                sizes[label] = size
    return sizes


def _diagonal(term: str, value: Tracer) -> tuple[str, Tracer]:
    """Labels that one operand repeats: the diagonal of their axes."""
    for label in set(term):
        while term.count(label) > 1:
            i = term.index(label)
            j = term.index(label, i + 1)
            value = lift(np.diagonal(value, axis1=i, axis2=j))
            term = term[:i] + term[i + 1 : j] + term[j + 1 :] + label
    return term, value


def _summed(term: str, value: Tracer, needed: set[str]) -> tuple[str, Tracer]:
    """Sums out what nobody needs any more."""
    gone = [d for d, label in enumerate(term) if label not in needed]
    if gone:
        node: Node = value.node
        op = "reduce_max" if value.dtype == BOOL else "reduce_sum"
        value = value.home.wrap(emit(op, node, axes=tuple(gone)))
    return "".join(label for label in term if label in needed), value


def _pair(first: str, a: Tracer, second: str, b: Tracer, later: set[str]) -> tuple[str, Tracer]:
    first, a = _summed(first, a, later.union(second))
    second, b = _summed(second, b, later.union(first))
    shared = [label for label in first if label in second]
    batch = [label for label in shared if label in later]
    inner = [label for label in shared if label not in later]
    rest = [c for c in first if c not in shared] + [c for c in second if c not in shared]
    pairs = [first.index(c) for c in inner], [second.index(c) for c in inner]
    batches = [first.index(c) for c in batch], [second.index(c) for c in batch]
    return "".join(batch + rest), contract(a, b, pairs, batches)
