"""Sinking: a sum of products that a loop carries becomes one product after it.

The gradient of a weight used in every turn is sum_t x_t^T g_t. Carried, it is read and written
every turn; taken after the loop it is [x_1; x_2; ..]^T [g_1; g_2; ..], one product whose operands
the loop stores (or has as elements). Sums over rows of such an operand, as the gradient of a bias,
go along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracejit.ir import ops
from tracejit.ir.copying import transplanted
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.passes.loops import change_scans
from tracejit.ir.types import is_float

MOVES = frozenset({"transpose", "reshape"})


def sink(graph: Graph) -> Graph:
    """The graph whose scans leave sums of products to what follows them."""
    return change_scans(graph, lambda builder, scan, _: _sunk(builder, scan))


@dataclass(frozen=True, slots=True, eq=False)
class _Sum:
    """A carry that is only added to: its terms in one turn, apart into products and the rest."""

    carry: int
    products: list[Node]
    rest: list[Node]


def _sunk(builder: Builder, scan: Scan) -> list[Node] | None:
    sums = _sums(scan)
    if not sums:
        return None
    stacked = _operands(sums)
    by_carry = {s.carry: s for s in sums}
    _, carries, xs = scan.split(scan.body.inputs)
    inner = Builder()
    inputs = [inner.input(f"in{n}", node.type) for n, node in enumerate(scan.body.inputs)]
    replaced = dict(zip(scan.body.inputs, inputs, strict=True))
    stored = [node for node in stacked if node not in xs]
    nexts = [
        _added(carries[i], by_carry[i].rest) if i in by_carry else node
        for i, node in enumerate(scan.next)
    ]
    outputs = transplanted(inner, [*nexts, *scan.ys, *stored], replaced)
    body = Graph(scan.body.name, tuple(inputs), tuple(outputs))
    moved = Scan(body, scan.consts, scan.inits, scan.xs, scan.length, scan.reverse)
    last, ys = scan_items(moved, builder)
    values = dict(zip(xs, scan.xs, strict=True))
    values |= dict(zip(stored, ys[len(scan.ys) :], strict=True))
    for total in sums:
        for product in total.products:
            last[total.carry] = last[total.carry] + _at_once(builder, product, values)
    return [*last, *ys[: len(scan.ys)]]


def _sums(scan: Scan) -> list[_Sum]:
    uses = scan.body.uses()
    outputs = [*scan.body.outputs]
    _, carries, _ = scan.split(scan.body.inputs)
    found = []
    for i, (carry, node) in enumerate(zip(carries, scan.next, strict=True)):
        if not is_float(carry.dtype) or len(uses[carry]) != 1 or outputs.count(node) > 1:
            continue
        terms = _terms(node, carry, uses)
        if terms is None:
            continue
        products = [t for t in terms if _is_product(t, carry)]
        if products:
            found.append(_Sum(i, products, [t for t in terms if t not in products]))
    stacked = set(_operands(found))
    return [_with_rows(total, stacked) for total in found] + [
        total for total in _row_sums(scan, uses, stacked, {s.carry for s in found})
    ]


def _terms(root: Node, carry: Node, uses: dict[Node, list[Node]]) -> list[Node] | None:
    """What is added to the carry, if the root is a tree of additions with the carry as a leaf."""
    if root.op != "add":
        return None
    leaves: list[Node] = []
    stack = [*reversed(root.inputs)]
    while stack:
        node = stack.pop()
        if node.op == "add" and len(uses[node]) == 1 and node is not carry:
            stack.extend(reversed(node.inputs))
        else:
            leaves.append(node)
    if leaves.count(carry) != 1:
        return None
    return [leaf for leaf in leaves if leaf is not carry]


def _behind_moves(node: Node) -> Node:
    while node.op in MOVES:
        node = node.inputs[0]
    return node


def _is_product(term: Node, carry: Node) -> bool:
    """Whether it is worth storing the operands of a product in order to leave it to the end."""
    node = _behind_moves(term)
    if node.op != "dot_general" or node.attrs["batch"] != ((), ()):
        return False
    lhs, rhs = node.inputs
    return lhs.type.size + rhs.type.size <= 2 * carry.type.size


def _operands(sums: Sequence[_Sum]) -> list[Node]:
    return list(dict.fromkeys(i for s in sums for p in s.products for i in _behind_moves(p).inputs))


def _is_row_sum(term: Node, stacked: set[Node]) -> bool:
    node = _behind_moves(term)
    return node.op == "reduce_sum" and node.inputs[0] in stacked


def _with_rows(total: _Sum, stacked: set[Node]) -> _Sum:
    rows = [t for t in total.rest if _is_row_sum(t, stacked)]
    rest = [t for t in total.rest if t not in rows]
    return _Sum(total.carry, [*total.products, *rows], rest)


def _row_sums(
    scan: Scan, uses: dict[Node, list[Node]], stacked: set[Node], done: set[int]
) -> list[_Sum]:
    """Carries that sum rows of what is stored for products anyway."""
    _, carries, _ = scan.split(scan.body.inputs)
    found = []
    for i, (carry, node) in enumerate(zip(carries, scan.next, strict=True)):
        alone = len(uses[carry]) == 1 and scan.body.outputs.count(node) == 1
        terms = _terms(node, carry, uses) if i not in done and alone else None
        rows = [t for t in terms or () if _is_row_sum(t, stacked)]
        if rows:
            found.append(_Sum(i, rows, [t for t in terms or () if t not in rows]))
    return found


def _added(carry: Node, terms: Sequence[Node]) -> Node:
    total = carry
    for term in terms:
        total = total + term
    return total


def _at_once(builder: Builder, term: Node, values: dict[Node, Node]) -> Node:
    """The sum of a term over all turns."""
    if term.op in MOVES:
        return builder.emit(term.prim, _at_once(builder, term.inputs[0], values), **term.attrs)
    if term.op == "reduce_sum":
        return ops.reduce_sum(values[term.inputs[0]], (0, *(a + 1 for a in term.ints("axes"))))
    contract = term.attrs["contract"]
    assert isinstance(contract, tuple)
    left, right = (
        (0, *(a + 1 for a in side if isinstance(a, int)))
        for side in contract
        if isinstance(side, tuple)
    )
    lhs, rhs = (values[i] for i in term.inputs)
    return ops.dot_general(lhs, rhs, (left, right))
