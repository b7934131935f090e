"""Calls of the standard's other functions, each with the dtype it must give.

`x` is [2, 3], `y` is [3], `i` holds indices; xp is the namespace. A rule reads: "same" as x,
"index" (int64), "bool", "sum" (int64, uint64, or same as x), "default" (float32).
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.standard.elementwise import BOOLS, FLOATS, INTEGERS, REAL

ANY = BOOLS + REAL


@dataclass(frozen=True)
class Call:
    source: str
    takes: tuple[str, ...]
    gives: str = "same"
    sized: bool = False  # the shape depends on values: no traced form

    @property
    def function(self) -> str:
        return self.source.removeprefix("xp.").split("(")[0]


def _calls(takes: tuple[str, ...], gives: str, *sources: str, sized: bool = False) -> list[Call]:
    return [Call(f"xp.{s}", takes, gives, sized) for s in sources]


CALLS = [
    *_calls(ANY, "same", "asarray(x)", "asarray(x, copy=True)", "asarray(x, device='cpu')",
            "asarray(x, dtype=x.dtype)", "empty_like(x, device='cpu')[:0]", "full_like(x, 1)",
            "full_like(x, True, dtype=x.dtype)", "ones_like(x)", "zeros_like(x)",
            "zeros_like(x, device='cpu')", "tril(x)", "tril(x, k=-1)", "triu(x, k=1)",
            "meshgrid(y, y)", "meshgrid(y, x[0, :2], indexing='ij')", "meshgrid(y)",
            "broadcast_arrays(x, y)", "broadcast_to(y, (2, 3))", "astype(x, x.dtype)",
            "astype(x, x.dtype, copy=False, device='cpu')", "from_dlpack(x)"),
    *_calls(ANY, "same", "concat([x, x])", "concat((x, y), axis=None)", "concat([x, x], axis=-1)",
            "expand_dims(x)", "expand_dims(x, axis=-1)", "expand_dims(x, axis=(0, 2))", "flip(x)",
            "flip(x, axis=-1)", "flip(x, axis=(0, 1))", "moveaxis(x, 0, 1)",
            "moveaxis(x[None], (0, 1), (-1, 0))", "permute_dims(x, (1, 0))", "repeat(x, 2)",
            "repeat(x, 2, axis=1)", "reshape(x, (3, 2))", "reshape(x, (-1,), copy=True)",
            "reshape(x, (6,), copy=False)", "roll(x, 1)", "roll(x, (1, -1), axis=(0, 1))",
            "roll(x, 7, axis=-1)", "squeeze(x[None], 0)", "squeeze(x[None, :, None], (0, 2))",
            "stack([x, x])", "stack((y, y), axis=-1)", "tile(x, (2,))", "tile(x, (2, 1, 1))",
            "unstack(x)", "unstack(x, axis=1)", "take(x, i, axis=1)", "take(y, i)",
            "take_along_axis(x, i[None], axis=1)", "matrix_transpose(x)", "where(x == x, x, y)",
            "sort(x)", "sort(x, axis=0, descending=True)", "clip(y)", "diff(x)",
            "diff(x, axis=0)"),
    *_calls(REAL, "same", "clip(x, 1, 2)", "clip(x, max=2)", "clip(x, min=y)", "clip(x, y, y + y)",
            "diff(x, n=2)", "diff(x, prepend=x[:, :1], append=x)", "max(x)", "max(x, axis=0)",
            "max(x, axis=(0, 1), keepdims=True)", "min(x)", "min(x, axis=-1)", "matmul(x, y)",
            "matmul(x, xp.matrix_transpose(x))", "tensordot(x, y, axes=1)",
            "tensordot(y, y, axes=0)",
            "tensordot(x, x, axes=((0, 1), (0, 1)))", "vecdot(x, y)", "vecdot(x, x, axis=0)",
            "where(x > y, x, 1)", "where(x > y, 0, y)", "add(x, 1)", "multiply(2, x)",
            "maximum(x, 1)"),
    *_calls(REAL, "sum", "sum(x)", "sum(x, axis=0)", "sum(x, axis=(0, 1), keepdims=True)",
            "prod(x)", "prod(x, axis=-1)", "cumulative_sum(y)", "cumulative_sum(x, axis=1)",
            "cumulative_sum(x, axis=0, include_initial=True)", "cumulative_prod(y)",
            "cumulative_prod(x, axis=-1, include_initial=True)"),
    *_calls(REAL, "float64", "sum(x, dtype=xp.float64)", "prod(x, dtype=xp.float64)",
            "cumulative_sum(y, dtype=xp.float64)", "astype(x, xp.float64)"),
    *_calls(ANY, "index", "argmax(x)", "argmax(x, axis=0)", "argmax(x, axis=1, keepdims=True)",
            "argmin(x, keepdims=True)", "argmin(x, axis=-1)", "count_nonzero(x)",
            "count_nonzero(x, axis=0)", "count_nonzero(x, axis=(0, 1), keepdims=True)"),
    *_calls(ANY, "index", "argsort(x)", "argsort(x, axis=0, descending=True)",
            "argsort(x, stable=False)", "argsort(x != 0, descending=True)"),
    *_calls(REAL, "index", "searchsorted(y, x)", "searchsorted(y, x, side='right')",
            "searchsorted(y, y, sorter=xp.asarray([0, 1, 2]))"),
    *_calls(ANY, "bool", "all(x)", "all(x, axis=0)", "any(x, axis=(0, 1), keepdims=True)",
            "any(x)"),
    *_calls(FLOATS, "same", "mean(x)", "mean(x, axis=(0,), keepdims=True)", "std(x)",
            "std(x, axis=0, correction=1)", "var(x, correction=0.5)",
            "var(x, axis=-1, keepdims=True)",
            "linspace(x[0, 0], x[1, 2], 5)"),
    *_calls(ANY, "same", "unique_values(x)", sized=True),
    *_calls(ANY, "index", "nonzero(x)", "unique_counts(x)[1]", "unique_inverse(x)[1]",
            "unique_all(x)[1:]", sized=True),
    *_calls(ANY, "index", "nonzero(x, size=4)"),
    *_calls(("float32",), "default", "arange(3.0)", "arange(0, 1, 0.25)", "arange(5.0, 1, -2.0)",
            "empty(3) * 0", "empty((2, 3), device='cpu') * 0", "eye(3)", "eye(2, 3, k=1)",
            "full((2,), 1.5)", "full(3, 2.0, device='cpu')", "linspace(0, 1, 5)",
            "linspace(-1, 1, num=4, endpoint=False)", "ones(3)", "ones((2, 0))", "zeros(())",
            "asarray(2.5)", "asarray([[1.0, 2], [3, 4]])"),
    *_calls(("float32",), "index", "arange(5)", "arange(2, 9, 3)", "arange(5, 0, -1)",
            "full(2, 7)", "asarray([1, 2])", "asarray(3)"),
    *_calls(("float32",), "bool", "full(2, True)", "asarray([True, False])", "asarray(False)"),
    *_calls(INTEGERS + FLOATS, "same", "arange(4, dtype=x.dtype)", "zeros(2, dtype=x.dtype)",
            "ones(2, dtype=x.dtype)", "full(2, 1, dtype=x.dtype)", "eye(2, dtype=x.dtype)",
            "empty(2, dtype=x.dtype) * 0", "asarray([1, 2], dtype=x.dtype)"),
]  # fmt: skip

# Functions of dtypes, which `test_standard.py` asks one by one; and those of `sort` have theirs.
OF_DTYPES = {"can_cast", "finfo", "iinfo", "isdtype", "result_type", "__array_namespace_info__"}
