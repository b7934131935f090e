"""Random programs in NumPy's words: each step is tried on values, and knows how exact they are.

A value carries the error that rounding may have left in it, found by moving the operands of each
step by theirs. Values without error decide things (comparisons, roundings, indices); the others go
through steps that are smooth, and stay within their error in any backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.fuzz.numpy_steps import STEPS, Step

Rng = np.random.Generator

DTYPES = ["f4", "f4", "f4", "f8", "f8", "f2", "i4", "i8", "i2", "i1", "u1", "u2", "u4", "u8", "?"]
SHAPES = (
    (),
    (1,),
    (7,),
    (0,),
    (3, 1),
    (5, 4),
    (1, 1, 3),
    (2, 3, 4),
    (13,),
    (4, 4),
    (2, 0, 3),
    (3,),
)
LAYOUTS = ("", "", "", "[::-1]", ".T", "[..., ::2]")
LARGEST, LONGEST = 1e4, 600  # of a value; of its elements
ATTEMPTS = 60
RUNS, SPREAD = (
    4,
    8.0,
)  # disturbed runs of a step; a result may be off by so many times what they show


@dataclass(frozen=True)
class Value:
    """What a name holds, and how far each element may be off; None: exact."""

    name: str
    array: Any
    error: Any = None

    def has_kind(self, kind: str) -> bool:
        if kind.isupper() and self.error is not None:
            return False
        of = {"f": "f", "i": "iu", "b": "b", "n": "fiu", "a": "fiub"}[kind.lower()]
        return self.array.dtype.kind in of


@dataclass
class Program:
    """Source lines that make inputs, and the body of f."""

    seed: int
    inputs: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        return ", ".join(line.split(" = ")[0] for line in self.inputs)

    @property
    def source(self) -> str:
        body = "".join(f"    {line}\n" for line in self.lines)
        names = ", ".join(v.name for v in self.results)
        return f"def f({self.arguments}):\n{body}    return {names},\n"

    @property
    def reproducer(self) -> str:
        making = "\n".join(self.inputs)
        return (
            "import numpy as np\nimport tracejit as tj\n\n"
            f"rng = np.random.default_rng({self.seed})\n{making}\n\n\n{self.source}\n\n"
            f"for want, got in zip(f({self.arguments}), tj.jit(f)({self.arguments})):\n"
            "    print(want, got, sep='\\n')\n"
        )

    def compiled(self) -> tuple[Callable[..., Any], list[Any]]:
        scope: dict[str, Any] = {"np": np, "rng": np.random.default_rng(self.seed)}
        exec("\n".join(self.inputs) + "\n" + self.source, scope)
        return scope["f"], [scope[name] for name in self.arguments.split(", ")]


def random_program(seed: int, steps: int = 8, dtypes: list[str] = DTYPES) -> Program:
    rng = np.random.default_rng(seed)
    program = Program(seed)
    scope: dict[str, Any] = {"np": np, "rng": np.random.default_rng(seed)}
    for n in range(int(rng.integers(1, 4))):
        line = f"x{n} = {_input(rng, str(rng.choice(dtypes)))}"
        exec(line, scope)
        program.inputs.append(line)
        program.values.append(Value(f"x{n}", scope[f"x{n}"]))
    for _ in range(int(rng.integers(1, steps + 1))):
        _add_step(program, rng, dtypes)
    made = program.values[len(program.inputs) :] or program.values
    program.results = made[-3:]
    return program


def _input(rng: Rng, dtype: str) -> str:
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    layout = LAYOUTS[int(rng.integers(len(LAYOUTS)))] if shape else ""
    kind = np.dtype(dtype).kind
    if kind == "f":
        return f"np.asarray(rng.standard_normal({shape}) * 2).astype('{dtype}'){layout}"
    low, high = (0, 2) if kind == "b" else (0, 9) if kind == "u" else (-9, 9)
    return f"np.asarray(rng.integers({low}, {high}, {shape})).astype('{dtype}'){layout}"


def choices(rng: Rng) -> dict[str, object]:
    """What stands in the braces of a template."""

    def one(*options: object) -> object:
        return options[int(rng.integers(len(options)))]

    cuts = ("1:", ":-1", "::2", "::-1", "-2:", "::-2", "1:1", ":", "5:", "-1:0:-1")
    return {
        "axis": one(0, -1, 1), "axis2": one(0, -1, 1), "bit": one(0, 1), "index": one(0, -1, 1),
        "row": one(0, 1, 2, -1), "row2": one(0, 1, -2), "slice": one(*cuts), "slice2": one(*cuts),
        "number": one(0, 1, -1, 0.5, 2.0), "whole": one(0, 1, -1, 2, 3), "power": one(0, 1, 2, 3),
        "shift": one(0, 1, 3), "divisor": one(1, 2, 3), "times": one(0, 1, 2, 3),
        "low": one(-1, 0), "high": one(1, 2), "mode": one("full", "same", "valid"),
        "dtype": one("int8", "uint16", "int64", "float16", "float64"),
        "border": one("edge", "reflect", "symmetric", "wrap", "maximum"),
    }  # fmt: skip


def _add_step(program: Program, rng: Rng, dtypes: list[str]) -> None:
    for _ in range(ATTEMPTS):
        step = STEPS[int(rng.integers(len(STEPS)))]
        operands = []
        for kind in step.operands:
            fitting = [v for v in program.values if v.has_kind(kind)]
            # The later values are the more interesting ones.
            fitting = fitting[-4:] if rng.random() < 0.6 else fitting
            if not fitting:
                break
            operands.append(fitting[int(rng.integers(len(fitting)))])
        if len(operands) < len(step.operands):
            continue
        source = step.filled([v.name for v in operands], choices(rng))
        name = f"v{len(program.lines)}"
        value = attempt(name, step, source, operands, dtypes)
        if value is not None:
            program.lines.append(f"{name} = {source}")
            program.values.append(value)
            return


def evaluated(source: str, operands: list[Value], arrays: list[Any]) -> Any:
    scope = {v.name: a for v, a in zip(operands, arrays, strict=True)}
    with np.errstate(all="ignore"):
        return np.asarray(eval(source, {"np": np}, scope))


def attempt(
    name: str, step: Step, source: str, operands: list[Value], dtypes: list[str]
) -> Value | None:
    """The value of a step, None if NumPy refuses it or it is no use."""
    try:
        array = evaluated(source, operands, [v.array for v in operands])
        error = _error(step, source, operands, array)
    except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError, RuntimeWarning):
        return None
    kinds = {np.dtype(d) for d in dtypes} | {np.dtype(d) for d in ("bool", "i8", "i4", "u8")}
    if array.size > LONGEST or array.ndim > 5 or array.dtype not in kinds:
        return None
    if array.dtype.kind == "f" and not np.all(np.abs(array) <= LARGEST):
        return None
    if array.dtype.kind in "iu" and array.size and np.max(np.abs(array.astype(float))) > 1e9:
        return None
    return Value(name, array, error)


def _error(step: Step, source: str, operands: list[Value], array: Any) -> Any:
    """How far the result may be off: what moved operands do to it, and its own rounding."""
    moved = [v for v in operands if v.error is not None]
    if array.dtype.kind != "f" or (step.exact and not moved):
        return None
    rng = np.random.default_rng(0)
    wide = array.astype(np.float64)
    error = np.zeros(array.shape)
    for _ in range(RUNS if moved else 0):
        arrays = [_moved(v, rng) for v in operands]
        other = evaluated(source, operands, arrays).astype(np.float64)
        error = np.maximum(error, np.abs(other - wide))
    floats = [array.dtype, *(v.array.dtype for v in operands if v.array.dtype.kind == "f")]
    eps = max(float(np.finfo(dtype).eps) for dtype in floats)
    longest = max((v.array.size for v in operands), default=1)
    size = max((float(np.max(np.abs(v.array), initial=0)) for v in operands), default=1.0)
    terms = 8.0 if step.exact else 8.0 + longest**0.5
    return SPREAD * error + terms * eps * (np.abs(wide) + (0 if step.exact else 1 + size))


def _moved(value: Value, rng: Rng) -> Any:
    if value.error is None:
        return value.array
    off = rng.uniform(-1, 1, value.array.shape) * value.error
    return (value.array.astype(np.float64) + off).astype(value.array.dtype)
