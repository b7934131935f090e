"""Random loops and choices: bodies that random graphs are made of, nested, with gradients.

All floats are f64, and carries are squashed, so that a loop does not blow up what rounding does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.fuzz.generate import Generator
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.graph import PRIMITIVES, Array, Builder, Graph, Node
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.types import BOOL, F64, I32, DType, TensorType, is_float

STEPS = 6  # operations of a body, at most
WEIGHTS = (
    "unary", "binary", "binary", "reduce", "row", "move", "select", "dot", "gather", "scatter",
)  # fmt: skip


class LoopGenerator(Generator):
    """Grows a graph of which some nodes are loops, whose bodies are grown alike."""

    def __init__(self, seed: int, depth: int = 0) -> None:
        super().__init__(seed)
        self.seed = seed
        self.depth = depth
        self.loops = 0

    def dtype(self) -> DType:
        return F64 if self.chance(0.85) else I32

    def step_loop(self) -> list[Node]:
        kind = self.pick(("scan", "scan", "scan", "while_loop", "cond"))
        self.loops += 1
        made: list[Node] = getattr(self, f"loop_{kind}")()
        return made

    def body(self, types: Sequence[TensorType], name: str) -> LoopGenerator:
        """A generator with inputs of these types, grown by some steps."""
        inner = LoopGenerator(self.seed * 31 + self.loops * 7 + len(types), self.depth + 1)
        inner.inputs = [inner.builder.input(f"{name}{n}", t) for n, t in enumerate(types)]
        inner.values = list(inner.inputs)
        inner.some_steps(int(self.rng.integers(1, STEPS)))
        return inner

    def some_steps(self, count: int) -> None:
        for _ in range(count):
            if self.depth < 2 and self.chance(0.2):
                self.values += self.step_loop()
                continue
            made = getattr(self, f"step_{self.pick(WEIGHTS)}")()
            if made is not None and made.type.size <= 200 and made.dtype in (F64, I32, BOOL):
                self.values.append(made)

    def next(self, type: TensorType) -> Node:
        """What a carry of that type becomes; sometimes a sum, or what it was, or another's."""
        if not is_float(type.dtype):
            return self.fit(type)
        same = [n for n in self.inputs if n.type == type]
        if same and self.chance(0.15):
            return self.pick(same)
        value = ops.tanh(self.fit(type))
        return self.pick(same) + value if same and self.chance(0.4) else value

    def operands(self, most: int) -> list[Node]:
        return [self.pick(self.values) for _ in range(int(self.rng.integers(0, most + 1)))]

    def loop_scan(self) -> list[Node]:
        length = int(self.rng.choice([0, 1, 2, 3, 5, 9]))
        inits = [self.pick(self.values) for _ in range(int(self.rng.integers(0, 4)))]
        inits = [n for n in inits if n.dtype in (F64, I32)]
        consts = self.operands(2)
        xs = [
            self.fit(TensorType((length, *self.pick(self.values).shape[:2]), F64))
            for _ in range(int(self.rng.integers(0, 3)))
        ]
        types = [n.type for n in (*consts, *inits)] + [x.type.with_shape(x.shape[1:]) for x in xs]
        if not types:
            return self.loop_while_loop()
        inner = self.body(types, "s")
        nexts = [inner.next(n.type) for n in inits]
        ys = [inner.pick(inner.values) for _ in range(int(self.rng.integers(not inits, 3)))]
        graph = Graph("turn", tuple(inner.inputs), (*nexts, *ys))
        scan = Scan(graph, tuple(consts), tuple(inits), tuple(xs), length, self.chance(0.5))
        last, stacked = scan_items(scan, self.builder)
        return [n for n in (*last, *stacked) if n.type.size <= 400]

    def loop_while_loop(self) -> list[Node]:
        """Counts up to a number; the count is the first carry."""
        inits = [self.constant(TensorType((), I32)), *self.operands(2)]
        inits = [inits[0], *(n for n in inits[1:] if n.dtype == F64)]
        consts = self.operands(2)
        types = [n.type for n in (*consts, *inits)]
        inner = self.body(types, "w")
        count = inner.inputs[len(consts)]
        nexts = [count + 1, *(inner.next(n.type) for n in inits[1:])]
        body = Graph("turn", tuple(inner.inputs), tuple(nexts))
        builder = Builder()
        inputs = [builder.input(f"w{n}", t) for n, t in enumerate(types)]
        bound = builder.full(int(self.rng.integers(0, 5)), inputs[len(consts)].type)
        test = Graph("more", tuple(inputs), (ops.lt(inputs[len(consts)], bound),))
        start = ops.minimum(
            ops.maximum(inits[0], ops.zeros_like(inits[0])), ops.ones_like(inits[0])
        )
        node = self.builder.emit(
            PRIMITIVES["while_loop"],
            *consts,
            start,
            *inits[1:],
            test=test,
            body=body,
            consts=len(consts),
        )
        # A while_loop has no gradient.
        return [ops.stop_gradient(n) if is_float(n.dtype) else n for n in ops.items(node)]

    def loop_cond(self) -> list[Node]:
        given = [*self.operands(3), self.pick(self.values)]
        outs = [n.type for n in given if n.dtype == F64][:2] or [TensorType((2,), F64)]
        branches = []
        for n in range(int(self.rng.integers(1, 4))):
            inner = self.body([g.type for g in given], f"b{n}_")
            results = tuple(inner.next(t) for t in outs)
            branches.append(Graph(f"branch{n}", tuple(inner.inputs), results))
        flag = self.fit(TensorType((), I32))
        node = self.builder.emit(PRIMITIVES["cond"], flag, *given, branches=tuple(branches))
        return ops.items(node)

    def grow(self, steps: int) -> Graph:
        for n in range(int(self.rng.integers(2, 5))):
            self.inputs.append(self.builder.input(f"x{n}", TensorType(self.shape(), F64)))
        self.values += self.inputs
        self.some_steps(steps)
        self.values += self.step_loop()
        outputs = [self.values[-1], self.pick(self.values), self.pick(self.values)]
        y = self.float()
        wrt = [n for n in self.inputs if is_float(n.dtype)]
        if y is not None and self.chance(0.6):
            total = ops.reduce_sum(y, tuple(range(y.ndim)))
            outputs += gradients([total], [ops.full_like(total, 1)], wrt)
        return Graph("loops", tuple(self.inputs), tuple(outputs))


def random_loops(seed: int) -> Graph:
    generator = LoopGenerator(seed)
    return generator.grow(int(generator.rng.integers(0, 6)))


def random_arrays(graph: Graph, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=n.shape)) for n in graph.inputs]


def donating(graph: Graph, seed: int) -> Graph:
    """The graph with inputs donated to half of the outputs that have the type of one."""
    rng = np.random.default_rng(seed)
    left = list(rng.permutation(len(graph.inputs)))
    donated: list[int | None] = []
    for output in graph.outputs:
        fitting = [i for i in left if graph.inputs[i].type == output.type]
        donated.append(int(fitting[0]) if fitting and rng.random() < 0.5 else None)
        left = [i for i in left if i != donated[-1]]
    return Graph(graph.name, graph.inputs, graph.outputs, tuple(donated))
