"""`Tracer`: a traced array. NumPy's methods, NumPy's rules, a node of the graph inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np

from tracejit.concrete import concretization_error
from tracejit.ir.graph import Array, Node
from tracejit.ir.types import DType, Shape
from tracejit.operators import ArrayOperators
from tracejit.promotion import Kind
from tracejit.source import here
from tracejit.trace import EagerTrace, Trace, current_trace, escaped


def _method(name: str) -> Callable[..., Any]:
    """An array method that is the NumPy function of that name."""
    function = getattr(np, name)

    def method(self: Tracer, *args: Any, **keywords: Any) -> Any:
        from tracejit.functions import call

        return call(function, (self, *args), keywords)

    method.__name__ = name
    return method


# What a function is given, or has captured.
_OUTSIDE = {"input", "mark", "placeholder"}


class Tracer(ArrayOperators):
    """An array of known shape and dtype whose value may only be known when the step runs.

    home: the trace that it is a part of.
    weak: it stands for a Python number, which takes the dtype of what it meets.
    own: False for a view or what several names may share, True for a copy; None: as the node says.
    root, views: the array that a view is of; the views of this one that are still held.
    """

    __slots__ = ("home", "node", "own", "root", "views", "weak")

    def __init__(self, node: Node, trace: Trace, weak: bool = False) -> None:
        self.node = node
        self.home = trace
        self.weak = weak
        self.own: bool | None = None
        self.root: Tracer | None = None
        self.views: list[ref[Tracer]] | None = None

    __hash__ = None  # type: ignore[assignment]  # as for ndarray: == compares elements

    @property
    def shape(self) -> Shape:
        return self.node.type.shape

    @property
    def dtype(self) -> DType:
        return self.node.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.node.type.shape)

    @property
    def size(self) -> int:
        return self.node.type.size

    @property
    def nbytes(self) -> int:
        return self.node.type.nbytes

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def kind(self) -> Kind:
        """What dtype promotion asks of an operand."""
        if not self.weak:
            return self.node.type.dtype
        return float if self.node.type.dtype.kind == "f" else int

    @property
    def is_own(self) -> bool:
        """Whether it may be written into: made in this trace, and nobody holds a view of it."""
        if self.own is False or (self.own is None and self.node.op in _OUTSIDE):
            return False
        held = self.views is not None and any(view() is not None for view in self.views)
        return self.home is current_trace() and not held

    def shares(self, view: Tracer) -> None:
        """Notes a view, as long as somebody holds it."""
        root = self if self.root is None else self.root
        view.own, view.root = False, root
        root.views = [r for r in root.views or () if r() is not None]
        root.views.append(ref(view))

    @property
    def T(self) -> Tracer:
        return self.transpose()

    @property
    def mT(self) -> Any:
        return np.matrix_transpose(self)

    @property
    def real(self) -> Tracer:
        return self

    @property
    def imag(self) -> Any:
        return np.zeros_like(self)

    @property
    def device(self) -> str:
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tracer:
        """The array itself: the CPU is the one device."""
        if device != "cpu":
            raise ValueError(f"device {device!r} is not there{here()}: arrays are on 'cpu'")
        return self

    def __dlpack__(self, **asked: Any) -> Any:
        known: Any = self._known("array")
        return known.__dlpack__(**asked)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # kDLCPU

    @property
    def flat(self) -> Any:
        return iter(self.ravel())

    sum, mean, prod = _method("sum"), _method("mean"), _method("prod")
    max, min = _method("max"), _method("min")
    std, var = _method("std"), _method("var")
    any, all = _method("any"), _method("all")
    argmax, argmin = _method("argmax"), _method("argmin")
    dot, clip, round = _method("dot"), _method("clip"), _method("round")
    ravel, squeeze, swapaxes = _method("ravel"), _method("squeeze"), _method("swapaxes")
    repeat, take = _method("repeat"), _method("take")
    diagonal, trace = _method("diagonal"), _method("trace")
    cumsum, cumprod, argsort = _method("cumsum"), _method("cumprod"), _method("argsort")
    choose, argpartition = _method("choose"), _method("argpartition")
    nonzero, searchsorted = _method("nonzero"), _method("searchsorted")
    copy, conj, conjugate = _method("copy"), _method("positive"), _method("positive")

    def compress(self, condition: Any, axis: Any = None) -> Any:
        return np.compress(condition, self, axis)

    def sort(self, axis: int = -1, kind: Any = None, *, stable: Any = None) -> None:
        """In place, where nobody else sees the memory: see `methods.overwrite`."""
        self._become("sort", np.sort(self, axis, kind, stable=stable), "x = np.sort(x)")

    def partition(self, kth: Any, axis: int = -1) -> None:
        self._become("partition", np.partition(self, kth, axis), "x = np.partition(x, kth)")

    def fill(self, value: Any) -> None:
        self._become("fill", np.full_like(self, value), "x = np.full_like(x, value)")

    def _become(self, name: str, value: Any, instead: str) -> None:
        from tracejit.methods import overwrite

        overwrite(f"ndarray.{name}", self, value, instead)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in Tracer.__slots__ or not hasattr(np.ndarray, name):
            raise AttributeError(f"a traced array has no {name!r}")
        raise AttributeError(
            f"ndarray.{name}: a traced {self.node.type} has no memory yet{here()}; do it outside"
            " the traced function, or to the array that this gives"
        )

    def flatten(self) -> Any:
        return self.ravel().copy()

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        sizes = shape[0] if len(shape) == 1 else shape
        from tracejit.functions import call

        return call(np.reshape, (self, sizes), {"order": order})

    def transpose(self, *axes: Any) -> Any:
        if not axes or axes == (None,):
            return np.transpose(self)
        return np.transpose(self, axes[0] if len(axes) == 1 else axes)

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Any:
        from tracejit.functions import call

        return call(np.astype, (self, dtype), {} if copy else {"copy": False})

    def item(self, *index: int) -> Any:
        return self._known("item").item(*index)

    def tolist(self) -> Any:
        return self._known("tolist").tolist()

    def block_until_ready(self) -> Tracer:
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"len() of unsized object{here()}")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError(f"iteration over a 0-d array{here()}")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, index: Any) -> Any:
        from tracejit.indexing import getitem

        return getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        from tracejit.methods import assign

        assign(self, index, value)

    @property
    def at(self) -> Any:
        """x.at[index].set(v), add, mul, min, max: a copy of x that differs there."""
        from tracejit.updates import At

        return At(self)

    @property
    def has_value(self) -> bool:
        """Whether this is an element of a define-by-run trace, and not of a vmap."""
        return isinstance(self.home, EagerTrace) and self.node in self.home.builder.values

    def _known(self, wanted: str) -> Array:
        """The value, which a define-by-run trace has; else raises ConcretizationError."""
        if isinstance(self.home, EagerTrace):
            if self.has_value:
                return self.home.value(self)
            raise concretization_error(self.node, wanted, "under vmap")
        if not self.home.live:
            raise escaped(self)
        raise concretization_error(self.node, wanted)

    def __bool__(self) -> bool:
        return bool(self._known("bool"))

    def __float__(self) -> float:
        return float(self._known("float"))

    def __int__(self) -> int:
        return int(self._known("int"))

    def __complex__(self) -> complex:
        return complex(self._known("complex"))

    def __index__(self) -> int:
        return self._known("index").item().__index__()

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits or 0)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._known("array"), dtype=dtype)

    def __copy__(self) -> Tracer:
        return self

    def __deepcopy__(self, memo: Any) -> Tracer:
        return self

    def __format__(self, spec: str) -> str:
        if self.has_value:
            return format(self._known("format").item() if not self.shape else str(self), spec)
        if spec:
            raise concretization_error(self.node, "format")
        return repr(self)

    def __repr__(self) -> str:
        kind = str(self.node.type) + (", weak" if self.weak else "")
        if self.has_value:
            return f"Tracer({self._known('repr')!r})"
        return f"Tracer<{kind}>"

    def __str__(self) -> str:
        return str(self._known("str")) if self.has_value else repr(self)
