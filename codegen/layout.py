"""Layouts: operands of products and convs rewritten to lie in the order in which they are read.

A product reads its right-hand side in panels of a few vectors' columns. Rows of a wide matrix lie
so far apart that the lines of a panel evict each other from L1, so the panels are stored one after
another: `contiguous` of shape [N / panel, K, panel]. Fusion lets the producer of the matrix store
that copy where it can. It is worth its one pass over the matrix when many rows read each panel
(Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", section 4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from tracejit.codegen.machine import Machine
from tracejit.codegen.padding import PADDED, sums_channels, with_zeros, zeros_around
from tracejit.ir import ops
from tracejit.ir.copying import rebuild
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.loops import each_body
from tracejit.ir.passes.hoist import hoist
from tracejit.ir.types import F16, F32, DType, is_float

# Rows of the left-hand side that must share a panel before copying it pays.
MIN_ROWS = 32
# Bytes of a cache line.
LINE = 64
# Rows closer together than this fall into enough different sets of L1.
MIN_STRIDE_BYTES = 512
# Operands that are contiguous along the contracted axis are multiplied as dot products, unless that
# axis is so short that the sum over the lanes at the end costs as much as the products, or many
# rows pay for turning the right-hand side and its columns then fill this part of their vectors.
FILLED = 0.75
MIN_DOT = 64
# A left-hand side that lies along its rows is turned where a walk down it is over more pages than
# this many times L2 holds, so that their addresses are forgotten until the next; or where L2 does
# not hold it, nor L1 the lines of one walk, and very many columns walk.
BEYOND_L2 = 6
PAGE = 4096
MIN_COLUMNS = 128
MANY_COLUMNS = 640
# Rows and columns that make it pay to convert both sides from f16 beforehand: in the inner loop
# conversions take turns of what multiplies. From bf16 they are shifts, which cost nothing there.
MIN_WIDENED = 128


def choose_layouts(graph: Graph, machine: Machine) -> Graph:
    """The graph with packed right-hand sides where that makes its products faster.

    What all turns of a loop read is packed before it.
    """
    graph = hoist(each_body(graph, lambda body: choose_layouts(body, machine)))

    def rewrite(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op == "dot_general":
            lhs, rhs = inputs
            product = _matrix_product(node, lhs, rhs)
            if product is not None and _widens(product):
                return ops.cast(_rewritten(_widened(product), machine), node.dtype)
            if product is not None:
                return _rewritten(product, machine)
        if node.op in PADDED:
            seen = with_zeros(node, inputs, around, machine)
            return _convolution(seen, machine) if node.op == "conv" else seen
        return builder.again(node, inputs)

    nodes = graph.nodes()
    if not any(node.op == "dot_general" or node.op in PADDED for node in nodes):
        return graph
    around = zeros_around(nodes, machine)
    return rebuild(graph, rewrite)


@dataclass(frozen=True, slots=True)
class _Product:
    """lhs[*B, ..] x rhs[*B, K, N], or rhs[*B, N, K] (transposed), summed over axis `k` of lhs.

    widened: both sides are casts that are to lie in memory.
    """

    lhs: Node
    rhs: Node
    k: int
    batch: int
    transposed: bool
    widened: bool = False

    @property
    def columns(self) -> int:
        return self.rhs.shape[self.batch if self.transposed else self.batch + 1]

    @property
    def depth(self) -> int:
        return self.lhs.shape[self.k]

    @property
    def rows(self) -> int:
        shared = prod(self.lhs.shape[: self.batch])
        return self.lhs.type.size // max(self.depth * shared, 1)

    @property
    def strided(self) -> bool:
        """Whether the columns of rhs lie apart."""
        return self.transposed != _turned(self.rhs, self.rhs.ndim - 1)

    def dot(self, rhs: Node, row: int) -> Node:
        """The product with another form of rhs, which is summed over axis `row`."""
        batch, lhs = tuple(range(self.batch)), self.lhs
        if self.widened:
            lhs, rhs = (x if x.op == "contiguous" else ops.contiguous(x) for x in (lhs, rhs))
        return ops.dot_general(lhs, rhs, ((self.k,), (row,)), (batch, batch))


def _matrix_product(node: Node, lhs: Node, rhs: Node) -> _Product | None:
    """The product, if it is one of a matrix, or one for each batch index, on the right."""
    left, right = _pair(node, "contract")
    batch = _pair(node, "batch")
    shared = tuple(range(len(batch[0])))
    if batch != (shared, shared) or not is_float(node.dtype):
        return None
    if len(left) > 1 and not shared and left == right == tuple(range(len(left))):
        # Axes summed over that come first on both sides are one axis.
        lhs, rhs = (_flat(side, len(left)) for side in (lhs, rhs))
        left = right = (0,)
    if len(left) != 1 or rhs.ndim != len(shared) + 2 or 0 in (*lhs.shape, *rhs.shape):
        return None
    return _Product(lhs, rhs, left[0], len(shared), right[0] == rhs.ndim - 1)


def _flat(node: Node, count: int) -> Node:
    """The first `count` axes as one."""
    return ops.reshape(node, (prod(node.shape[:count]), *node.shape[count:]))


def _pair(node: Node, attr: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    value = node.attrs[attr]
    assert isinstance(value, tuple)
    lhs, rhs = (
        tuple(i for i in side if isinstance(i, int)) for side in value if isinstance(side, tuple)
    )
    return lhs, rhs


def _upright(product: _Product, machine: Machine) -> _Product:
    """The product, its left-hand side along the axis it is summed over where that pays."""
    lhs, k = product.lhs, product.k
    few = product.strided and product.rows < MIN_ROWS and product.depth >= MIN_DOT
    if not (few or _walks_far(product, machine)) or not _turned(lhs, k):
        return product
    order = (*range(k), *range(k + 1, lhs.ndim), k)
    if product.widened:
        turned = ops.cast(ops.transpose(lhs.inputs[0], order), lhs.dtype)
    else:
        turned = ops.contiguous(ops.transpose(lhs, order))
    return replace(product, lhs=turned, k=lhs.ndim - 1)


def _walks_far(product: _Product, machine: Machine) -> bool:
    """Whether walks down the left-hand side, a row at a time, find little of it in the caches."""
    step = product.lhs.dtype.itemsize * prod(product.lhs.shape[product.k + 1 :])
    if product.depth * min(step, PAGE) >= BEYOND_L2 * machine.l2:
        return product.columns >= MIN_COLUMNS
    lines = product.depth * LINE > machine.l1
    return (
        lines
        and product.rows * product.depth * product.lhs.dtype.itemsize > machine.l2
        and (product.columns >= MANY_COLUMNS)
    )


def _widens(product: _Product) -> bool:
    return product.lhs.dtype == F16 and min(product.rows, product.columns) >= MIN_WIDENED


def _widened(product: _Product) -> _Product:
    """The product of both sides in f32, in which it is summed anyway."""
    lhs, rhs = (ops.cast(side, F32) for side in (product.lhs, product.rhs))
    return replace(product, lhs=lhs, rhs=rhs, widened=True)


def _rewritten(product: _Product, machine: Machine) -> Node:
    product = _upright(product, machine)
    dtype = product.rhs.dtype
    lanes = machine.lanes([dtype])
    panel = _panel(product.columns, dtype, machine)
    rhs, last = product.rhs, product.rhs.ndim - 1
    strided = product.strided
    stride = rhs.dtype.itemsize * product.columns
    if panel and product.rows >= MIN_ROWS and (strided or stride >= MIN_STRIDE_BYTES):
        return _packed(product, panel)
    dots = product.depth >= MIN_DOT and not _turned(product.lhs, product.k)
    if strided and dots and (product.rows < MIN_ROWS or _filled(product.columns, lanes) < FILLED):
        return _dots(product, panel)
    if strided:
        if product.transposed:
            rhs = ops.transpose(rhs, (*range(product.batch), last, last - 1))
        return product.dot(ops.contiguous(rhs), last - 1)
    return product.dot(rhs, last if product.transposed else last - 1)


def _convolution(node: Node, machine: Machine) -> Node:
    """A conv whose weights lie in panels, or at least contiguous along their columns.

    The columns of panel g are the channels of feature group g of weights [*K, groups, C, panel];
    all groups see the same x.
    """
    x, w = node.inputs
    columns, groups = w.shape[-1], w.shape[-3]
    if sums_channels(w, machine.lanes([node.dtype])):
        return _conv(node, x, _along_channels(w))
    panel = _panel(columns, node.dtype, machine)
    stride = w.dtype.itemsize * columns
    rows = node.type.size // max(columns, 1)
    if not panel or groups > 1 or rows < MIN_ROWS or stride < MIN_STRIDE_BYTES:
        return _conv(node, x, _along_columns(w))
    count, axis = columns // panel, w.ndim - 3
    split = ops.reshape(w, (*w.shape[:axis], w.shape[-2], count, panel))
    first = ops.transpose(split, (axis + 1, *range(axis), axis, axis + 2))
    packed = ops.transpose(ops.contiguous(first), (*range(1, axis + 1), 0, axis + 1, axis + 2))
    shared = ops.broadcast(x, (*x.shape[:-2], count, x.shape[-1]), range(x.ndim))
    return ops.reshape(_conv(node, shared, packed), node.shape)


def _conv(node: Node, x: Node, w: Node) -> Node:
    return node.builder.emit(node.prim, x, w, **node.attrs)


def _along_channels(w: Node) -> Node:
    """The weights, copied if they do not lie along the channels that are summed over."""
    channels = w.ndim - 2
    if not _turned(w.inputs[0] if w.op == "slice" else w, channels):
        return w
    swapped = (*range(channels), w.ndim - 1, channels)
    return ops.transpose(ops.contiguous(ops.transpose(w, swapped)), swapped)


def _along_columns(w: Node) -> Node:
    """The weights, copied if they do not lie along their last axis; parts of a whole share it."""
    if w.op == "slice" and _turned(w.inputs[0], w.ndim - 1):
        whole = ops.contiguous(w.inputs[0])
        return ops.slice(whole, w.ints("start"), w.ints("stop"), w.ints("step"))
    return ops.contiguous(w) if _turned(w, w.ndim - 1) else w


def _turned(node: Node, axis: int) -> bool:
    """Whether `axis` is not the one along which the operand is contiguous in memory."""
    if node.op == "transpose":
        perm = node.ints("perm")
        return _turned(node.inputs[0], perm[axis])
    if node.op in ("reverse", "cast"):
        return _turned(node.inputs[0], axis)
    return axis != node.ndim - 1


def _filled(columns: int, lanes: int) -> float:
    """The part of the lanes that hold a column, where the last vector may be half as wide."""
    half = max(lanes // 2, 1)
    return columns / (-(-columns // half) * half)


def _panel(columns: int, dtype: DType, machine: Machine) -> int:
    """Columns of a panel, which divide the matrix and fill vectors and lines; or 0.

    As many as a register tile has, or a little fewer; else up to two tiles; else what there is.
    """
    lanes, tile = machine.lanes([dtype]), machine.column_vectors
    near = range(tile, tile // 2, -1)
    counts = (*near, *range(2 * tile, tile, -1), *range(tile // 2, 0, -1))
    widths = (vectors * lanes for vectors in counts)
    return next((w for w in widths if columns % w == 0 and w * dtype.itemsize >= LINE), 0)


def _packed(product: _Product, panel: int) -> Node:
    """rhs as [*B, N / panel, K, panel], one panel after another."""
    count, depth, first = product.columns // panel, product.depth, product.batch
    rhs, shared = product.rhs, product.rhs.shape[: product.batch]
    if product.transposed:
        rhs = ops.reshape(rhs, (*shared, count, panel, depth))
        order = (first, first + 2, first + 1)
    else:
        rhs = ops.reshape(rhs, (*shared, depth, count, panel))
        order = (first + 1, first, first + 2)
    packed = ops.contiguous(ops.transpose(rhs, (*range(first), *order)))
    return _joined(product, product.dot(packed, first + 1))


def _dots(product: _Product, panel: int) -> Node:
    """Both sides as they are; columns come in panels, for whoever packs the result."""
    rhs, first = product.rhs, product.batch
    if not product.transposed or not panel:
        return product.dot(rhs, first + 1 if product.transposed else first)
    shape = (*rhs.shape[:first], product.columns // panel, panel, product.depth)
    return _joined(product, product.dot(ops.reshape(rhs, shape), first + 2))


def _joined(product: _Product, node: Node) -> Node:
    return ops.reshape(node, (*node.shape[:-2], product.columns))
