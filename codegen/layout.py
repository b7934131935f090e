"""Layouts: operands of matrix products rewritten to lie in the order in which they are read.

A product reads its right-hand side in panels of a few vectors' columns. Rows of a wide matrix lie
so far apart that the lines of a panel evict each other from L1, so the panels are stored one after
another: `contiguous` of shape [N / panel, K, panel]. Fusion lets the producer of the matrix store
that copy where it can. It is worth its one pass over the matrix when many rows read each panel
(Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from tracejit.codegen.machine import Machine
from tracejit.ir import ops
from tracejit.ir.graph import Builder, Graph, Node, rebuild
from tracejit.ir.types import is_float

# Rows of the left-hand side that must share a panel before copying it pays.
MIN_ROWS = 32
# Rows closer together than this fall into enough different sets of L1.
MIN_STRIDE_BYTES = 512
# Operands that are contiguous along the contracted axis are multiplied as dot products, unless that
# axis is so short that the sum over the lanes at the end costs as much as the products.
MIN_DOT = 64


def choose_layouts(graph: Graph, machine: Machine) -> Graph:
    """The graph with packed right-hand sides where that makes its products faster."""

    def rewrite(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op == "dot_general":
            lhs, rhs = inputs
            product = _matrix_product(node, lhs, rhs)
            if product is not None:
                return _rewritten(node, product, machine)
        if node.op == "conv" and _turned(inputs[1], node.ndim - 1):
            inputs = (inputs[0], ops.contiguous(inputs[1]))
        return builder.emit(node.prim, *inputs, **node.attrs)

    if not any(node.op in ("dot_general", "conv") for node in graph.nodes()):
        return graph
    return rebuild(graph, rewrite)


@dataclass(frozen=True, slots=True)
class _Product:
    """lhs[..] x rhs[K, N] or rhs[N, K] (transposed), contracted over axis `k` of lhs."""

    lhs: Node
    rhs: Node
    k: int
    transposed: bool

    @property
    def columns(self) -> int:
        return self.rhs.shape[0 if self.transposed else 1]

    @property
    def depth(self) -> int:
        return self.lhs.shape[self.k]

    @property
    def rows(self) -> int:
        return self.lhs.type.size // max(self.depth, 1)


def _matrix_product(node: Node, lhs: Node, rhs: Node) -> _Product | None:
    """The product, if it is one of a matrix on the right and has no batch dimensions."""
    contract, batch = node.attrs["contract"], node.attrs["batch"]
    assert isinstance(contract, tuple) and isinstance(batch, tuple)
    left, right = contract
    assert isinstance(left, tuple) and isinstance(right, tuple)
    if batch[0] or len(left) != 1 or rhs.ndim != 2 or not is_float(node.dtype):
        return None
    k, row = left[0], right[0]
    assert isinstance(k, int)
    return _Product(lhs, rhs, k, row == 1)


def _rewritten(node: Node, product: _Product, machine: Machine) -> Node:
    panel = _panel(product.columns, machine.lanes([node.dtype]), machine)
    strided = product.transposed != _turned(product.rhs)
    stride = product.rhs.dtype.itemsize * product.columns
    if panel and product.rows >= MIN_ROWS and (strided or stride >= MIN_STRIDE_BYTES):
        return _packed(product, panel)
    if strided and product.depth >= MIN_DOT and not _turned(product.lhs, product.k):
        return _dots(product, panel)
    if strided:
        rhs = ops.transpose(product.rhs, (1, 0)) if product.transposed else product.rhs
        return _dot(product.lhs, product.k, ops.contiguous(rhs), 0)
    return _dot(product.lhs, product.k, product.rhs, int(product.transposed))


def _turned(node: Node, axis: int = 1) -> bool:
    """Whether `axis` is not the one along which the operand is contiguous in memory."""
    if node.op == "transpose":
        perm = node.ints("perm")
        return _turned(node.inputs[0], perm[axis])
    if node.op == "reverse":
        return _turned(node.inputs[0], axis)
    return axis != node.ndim - 1


def _panel(columns: int, lanes: int, machine: Machine) -> int:
    """Columns of a panel: as many vectors as a register tile has, that divide the matrix; or 0."""
    most = machine.column_vectors
    return next((v * lanes for v in range(most, 0, -1) if columns % (v * lanes) == 0), 0)


def _packed(product: _Product, panel: int) -> Node:
    """rhs as [N / panel, K, panel], one panel after another."""
    count = product.columns // panel
    rhs = product.rhs
    if product.transposed:
        rhs = ops.transpose(ops.reshape(rhs, (count, panel, product.depth)), (0, 2, 1))
    else:
        rhs = ops.transpose(ops.reshape(rhs, (product.depth, count, panel)), (1, 0, 2))
    return _joined(product, _dot(product.lhs, product.k, ops.contiguous(rhs), 1))


def _dots(product: _Product, panel: int) -> Node:
    """Both sides as they are; columns come in panels, for whoever packs the result."""
    rhs = product.rhs
    if not product.transposed or not panel:
        return _dot(product.lhs, product.k, rhs, int(product.transposed))
    split = ops.reshape(rhs, (product.columns // panel, panel, product.depth))
    return _joined(product, _dot(product.lhs, product.k, split, 2))


def _dot(lhs: Node, k: int, rhs: Node, row: int) -> Node:
    return ops.dot_general(lhs, rhs, ((k,), (row,)))


def _joined(product: _Product, node: Node) -> Node:
    return ops.reshape(node, (*node.shape[:-2], product.columns))
