"""docs/numpy.md and docs/errors.md are written by this file: `pytest --update-golden`."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import tracejit as tj
import tracejit.numpy as tnp
from tests.frontend.gallery import GALLERY
from tests.standard.signatures import SIGNATURES
from tracejit.composed import COMPOSED
from tracejit.contraction import MATRIX_UFUNCS
from tracejit.elementwise import UFUNCS
from tracejit.functions import FUNCTIONS, SHAPELESS
from tracejit.numpy import making

Golden = Callable[[str, str], None]

MAKERS = sorted({*making.__dict__} & {*tnp.__all__} - {"newaxis"} | {"empty_like", "full_like"})

# Why a name of the standard has no traced form.
EXPLAINED = {
    **{
        f"unique_{what}": "needs `size=` in traced code: the shape depends on values"
        for what in ("all", "counts", "inverse", "values")
    },
}

# They ask about dtypes, or are of tracejit.numpy alone.
OWN = {"finfo", "iinfo", "isdtype", "can_cast", "result_type", "__array_namespace_info__"}
OWN |= {"nonzero", "clip", "expand_dims", "count_nonzero", "sort", "argsort", "take", "full_like"}


def traced(name: str) -> bool:
    """Whether tracejit.numpy's function of that name has a traced form."""
    function = getattr(tnp, name, None)
    special = name in MAKERS or name in OWN or function in (*MATRIX_UFUNCS, *COMPOSED)
    return special or function in UFUNCS or function in FUNCTIONS


def test_every_name_of_the_standard_is_there_and_traces_or_says_why() -> None:
    assert {n for n in SIGNATURES if not traced(n)} == set(EXPLAINED)


def columns(names: Iterable[str]) -> str:
    return " ".join(f"`{n}`" for n in sorted(set(names)))


def _module(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.".removeprefix("numpy.")


def family(module: str) -> list[str]:
    """NumPy's names whose traced form stands in that module; of those not in np, with theirs."""
    found = [
        ("" if function is getattr(np, function.__name__, None) else _module(function))
        + function.__name__
        for function, form in FUNCTIONS.items()
        if form.__module__ == f"tracejit.{module}"
    ]
    assert found, module
    return found


FAMILIES = {
    "Reductions": "reductions",
    "The same, passing over nan": "nanaware",
    "Running sums and extrema": "cumulative",
    "Shapes, joining, splitting": "movement",
    "More of those": "rearranging",
    "Borders": "padding",
    "Choosing elements": "selection",
    "Indices, functions along axes": "placing",
    "Searching, interpolation": "searching",
    "Sorting": "sorting",
    "Medians, quantiles": "quantiles",
    "Counting, covariance": "counting",
    "Sequences, polynomials": "sequences",
    "Products": "contraction",
    "Products of many": "einsum",
    "What an array holds": "kinds",
    "Linear algebra by LAPACK": "linalg",
    "Norms, rank, condition": "norms",
    "Fourier transforms": "fourier",
}


NOTES = (
    "Aliases of the array API standard (`acos`, `concat`, `permute_dims`, `pow`, ...) are NumPy's"
    " own, and trace too.",
    "Everything else of NumPy's is in `tracejit.numpy` too, as NumPy's own: for plain arrays.",
    "Ufuncs take `dtype=`; `.outer` of all; `.reduce` and `.accumulate` of add, multiply, maximum,"
    " minimum, fmax, fmin, hypot, logaddexp, logaddexp2, bitwise_and, bitwise_or, bitwise_xor and"
    " logical_xor, `.reduce` of logical_and and logical_or, `.reduceat` of all of these.",
    "`x[index] = value`, also through a mask of a traced condition with one value, `out=`, `where=`"
    " with it, and `.at` write into an array made in the same function: the name stands for the"
    " result from there on. Arguments, captured arrays, views, and arrays of which views are held"
    " are refused, for NumPy would change them too: `x = x.copy()` first. A loop that assigns item"
    " by item makes as many arrays; `tj.scan` does not. A `tj.Variable` as `out` is assigned to.",
    "With a size also in traced code: `tracejit.numpy`'s `nonzero`, `flatnonzero`, `argwhere`,"
    " `unique`, `unique_all`, `unique_counts`, `unique_inverse` and `unique_values` take `size=`"
    " and `fill_value=`, `bincount` takes `length=`.",
    "NumPy's `take` and `full_like` look at their first argument alone: of a plain table by a"
    " traced index, and with a traced fill value, write `tracejit.numpy.take` and"
    " `tracejit.numpy.full_like`.",
    "`x[...]` takes ints, slices, None, Ellipsis, integer arrays on any axes, and masks whose"
    " values are known (NumPy arrays; define by run any).",
    "`x.at[index].set(v)`, `add`, `subtract`, `multiply`, `divide`, `min`, `max`, `apply`, `get`:"
    " as in JAX. Indices beyond the end are left out; `multiply`, `divide`, `min` and `max` with"
    " arrays of several indices compare each row with each index. One row that is set, or rows that"
    " are added to, are changed where they lie if nobody needs the array as it was.",
    "`y += x` on a local name rebinds it.",
    "`cumsum` and its kin take log2(16) steps in blocks of 16, then again across blocks: floats are"
    " as accurate as in a pairwise sum.",
    "Sorting and linear algebra are host calls: NumPy does them from inside the compiled step, with"
    " gradients in the graph. `argsort` is always stable.",
    "`np.fft` gives complex arrays, which traced code holds as two real ones: they go back into"
    " `np.fft`, know + - * / `abs` `angle` `conj` `exp` `sum` `mean`, `.real` and `.imag`, and"
    " leave a jitted function as NumPy's complex arrays. Complex arguments are an error.",
    "`np.unique` and its like need a size: `tracejit.numpy.unique(x, size=n)`. `tj.top_k(x, k)` is"
    " JAX's.",
    "`signbit` of a nan is False. A traced index beyond the end reads the last row, as in JAX.",
)

# Seen in tests/standard, or NumPy's own.
DEVIATIONS = (
    "Plain arrays are NumPy's: their operators and methods are too, and `x.__array_namespace__()`"
    " of one is `numpy`. NumPy's `//`, `**` and `floor_divide` miss some special cases of the"
    " standard (`inf // 1`, `(-inf) ** 0.5`).",
    "A result without dimensions is a NumPy scalar outside a trace, as NumPy's functions give it.",
    "`bfloat16` beside a Python float, and a product of `bfloat16` matrices, are `float32` in NumPy"
    " with ml_dtypes, and `bfloat16` in a trace.",
    "`complex64` and `complex128` are for plain arrays; a traced one is a `DTypeError` with the"
    " line.",
    "In a trace `clip`, `nonzero(size=)` and the rest have their dtypes by NumPy's promotion (NEP"
    " 50), which is the standard's where that has a rule.",
)

TRANSFORMATIONS = {
    "`grad`, `value_and_grad`": "`argnums`, `has_aux`; `wrt=` a list of Variables",
    "`vjp`, `jvp`": "`jvp` is the transpose of the pullback, so each operation has one derivative"
    " rule; the cotangent of an integer is None",
    "`jacobian`, `hessian`": "backward, or forward where the arguments have fewer elements than the"
    " result",
    "`vmap`": "one batch rule per primitive; `in_axes`, `out_axes`, `axis_size`; a branch on an"
    " element is an error",
    "`custom_vjp`": "`defvjp(fwd, bwd)`, `nondiff_argnums`; in a trace `fwd` stands for the"
    " function",
    "`checkpoint`": "the backward sweep computes again, from copies that are merged with nothing:"
    " less memory, more work",
    "`where`": "the branch not taken has derivative 0, also where its slope is infinite or nan: the"
    " mask stays with the cotangent, through elementwise operations, index maps and sums",
    "`stop_gradient`": "the identity, and a constant to differentiation",
}


def table(head: str, rows: dict[str, str]) -> str:
    lines = [f"| {name} | {text} |" for name, text in rows.items()]
    return "\n".join([f"| {head} |", "|---|---|", *lines])


def numpy_page() -> str:
    shown = {n.rpartition(".")[2] for module in FAMILIES.values() for n in family(module)}
    assert {f.__name__ for f in FUNCTIONS} == shown, "a family is missing"
    ufuncs = [*(u.__name__ for u in (*UFUNCS, *COMPOSED)), "matmul", "vecdot"]
    names = {
        "Makers, in `tracejit.numpy`; floats are f32": columns(MAKERS),
        "Ufuncs": columns(ufuncs),
        **{title: columns(family(module)) for title, module in FAMILIES.items()},
    }
    return "\n\n".join(
        [
            "# NumPy's names in traced code",
            "Written by `tests/frontend/test_pages.py`. A function under `tj.jit` may `import numpy"
            " as np` and use these names on traced arrays;\n`tracejit.numpy` holds the same names."
            " Dtypes follow NumPy 2 (NEP 50). Outside a trace everything is NumPy itself.",
            table("family | names", names),
            "\n".join(f"- {note}" for note in NOTES),
            "## Not traced",
            "These work on NumPy's arrays; with a traced operand they raise `UnsupportedError` with"
            " the way out.",
            "The shape of the result depends on values: " + columns(f.__name__ for f in SHAPELESS),
            "Of the array API standard 2024.12:",
            table("name | why", {f"`{n}`": EXPLAINED[n] for n in sorted(EXPLAINED)}),
            "## Where it is not the standard's word",
            "\n".join(f"- {note}" for note in DEVIATIONS),
            "## Random numbers",
            "`tracejit.random` draws by a key, as `jax.random`: Philox 4x32-10, the same bits in"
            " eager and in compiled code and for any number of threads: "
            + columns(tj.random.__all__)
            + ". `gamma`, and with it `beta`, `chisquare`, `dirichlet` and `t`, differentiates in"
            " its parameters, once, by implicit reparametrisation; whole numbers do not.",
            "## Transformations",
            "Signatures and results are JAX's; they nest in each other and in `jit` to any depth.",
            table("name | what to know", TRANSFORMATIONS),
        ]
    )


def test_numpy_page(golden: Golden) -> None:
    golden("../../docs/numpy.md", numpy_page())


def raised(name: str, source: str) -> str:
    """The error that running the snippet ends in, as Python prints it."""
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    scope: dict[str, Any] = {"np": np, "tj": tj, "x": np.ones((4, 3), np.float32)}
    try:
        exec(compile(source, name, "exec"), scope)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"{source}\nraised nothing")


def errors_page() -> str:
    parts = [
        "# Errors\n\nWritten by `tests/frontend/test_pages.py`, which runs these programs. Each"
        " error names the operation, the types, your line, and what\nto do. `x` is a `float32`"
        " array of shape (4, 3).\n"
    ]
    for title, text in GALLERY.items():
        source = text.lstrip()
        said = raised("model.py", source)
        assert "model.py:" in said, f"{title}: no line in {said}"
        parts.append(f"## {title}\n\n```python\n{source.strip()}\n```\n\n```text\n{said}\n```\n")
    return "\n".join(parts)


def test_errors_page(golden: Golden) -> None:
    golden("../../docs/errors.md", errors_page())
