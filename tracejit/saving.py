"""Models as files: safetensors, with a JSON description of how to make the model again.

No pickle: a file holds numbers and text, and only classes that are known are made from the text.
Files are written beside their place and moved there, so that a crash leaves the old one whole.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tracejit import losses, metrics, nn, optim
from tracejit.errors import TracejitError
from tracejit.ir.graph import Array
from tracejit.nn import initializers, regularizers
from tracejit.nn.layer import Layer
from tracejit.nn.mode import weights_of_at_most
from tracejit.variable import Variable

FORMAT = "tracejit 1"


# What a description that no `save` wrote may raise where objects are made from it.
_DAMAGE = (
    KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError, MemoryError,
    RecursionError, TracejitError,
)  # fmt: skip


class SavedModelError(TracejitError, ValueError):
    """A file that is damaged, or that describes something else."""


def write(path: str | Path, arrays: Mapping[str, Array], description: Any) -> None:
    """Writes arrays and a JSON description, all or nothing."""
    from safetensors.numpy import save

    flat = {k: np.ascontiguousarray(v).reshape(v.shape) for k, v in arrays.items()}
    content = save(flat, {"format": FORMAT, "description": json.dumps(description)})
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=target.name, dir=target.parent or ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: str | Path) -> tuple[dict[str, Array], Any]:
    """What `write` wrote. Raises SavedModelError for any other content."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = Path(path).read_bytes()
    try:
        arrays = load(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
    except (SafetensorError, ValueError, KeyError, RecursionError, OverflowError) as error:
        raise SavedModelError(f"{path}: no safetensors file, or a damaged one: {error}") from None
    notes = header.get("__metadata__", {})
    if notes.get("format") != FORMAT:
        raise SavedModelError(
            f"{path}: format {notes.get('format')!r}, not {FORMAT!r}: another program wrote it"
        )
    try:
        return arrays, json.loads(notes["description"])
    except (ValueError, KeyError, RecursionError) as error:
        raise SavedModelError(f"{path}: the description is damaged: {error}") from None


def _known() -> dict[str, dict[str, type[Any]]]:
    """The classes a description may name, by kind."""
    from tracejit.models import Functional, Sequential

    layers = {n: c for n in nn.__all__ if isinstance(c := getattr(nn, n), type)}
    return {
        "layer": {n: c for n, c in layers.items() if issubclass(c, Layer)}
        | {"Sequential": Sequential, "Functional": Functional},
        "initializer": initializers.INITIALIZERS,
        "regularizer": regularizers.REGULARIZERS | regularizers.CONSTRAINTS,
        "optimizer": optim.optimizers.OPTIMIZERS,
        "schedule": optim.schedules.SCHEDULES,
        "loss": losses.LOSSES,
        "metric": metrics.METRICS,
    }


class _Describer:
    """Python objects as JSON; raises TypeError for what could not be made again."""

    def __init__(self, custom: Mapping[str, Any]) -> None:
        self.names = {c: ("custom", n) for n, c in custom.items() if isinstance(c, type)}
        self.names |= {c: (kind, n) for kind, table in _known().items() for n, c in table.items()}
        self.functions = {f: ("activation", n) for n, f in nn.activations.ACTIVATIONS.items()}
        self.functions |= {f: ("custom", n) for n, f in custom.items() if not isinstance(f, type)}

    def __call__(self, value: Any) -> Any:
        if value is None or isinstance(value, str | bool | int | float):
            return value
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, list | tuple):
            return [self(v) for v in value]
        if isinstance(value, dict) and all(isinstance(k, str) for k in value):
            return {"dict": {k: self(v) for k, v in value.items()}}
        if isinstance(value, np.ndarray):
            return {"array": value.tolist(), "dtype": str(value.dtype)}
        if isinstance(value, np.dtype) or (
            isinstance(value, type) and issubclass(value, np.generic)
        ):
            return str(np.dtype(value))
        if type(value).__name__ == "Functional":
            return self._functional(value)
        if type(value) in self.names:
            kind, name = self.names[type(value)]
            config = {k: self(v) for k, v in value.get_config().items()}
            return {"kind": kind, "class": name, "config": config}
        if isinstance(value, type) and value in self.names:
            kind, name = self.names[value]
            return {"kind": kind, "class": name, "config": {}}
        try:
            kind, name = self.functions[value]
        except (KeyError, TypeError):
            raise TypeError(
                f"save: {value!r} has no description that it could be made from again; save_weights"
                " keeps the weights, or pass custom_objects={name: class or function}"
            ) from None
        return {"kind": kind, "function": name}

    def _functional(self, model: Any) -> Any:
        from tracejit import tree
        from tracejit.nn.symbolic import Symbol

        places = {id(s): ["input", i] for i, s in enumerate(tree.leaves(model.inputs))}
        for number, call in enumerate(model.calls):
            if not isinstance(call.function, Layer):
                raise TypeError(
                    f"save: {model.name}: the call of {call.function!r} is no layer: use a layer"
                    " (Add, Multiply, Rescaling, ...) instead of the function"
                )
            places[id(call)] = ["call", number]

        def place(value: Any) -> Any:
            if isinstance(value, Symbol):
                own = places.get(id(value)) or [*places[id(value.call)], value.position]
                return {"symbol": own}
            if isinstance(value, list | tuple):
                return [place(v) for v in value]
            if isinstance(value, dict):
                return {"dict": {k: place(v) for k, v in value.items()}}
            return self(value)

        inputs = [[list(s.shape), str(s.dtype), s.name] for s in tree.leaves(model.inputs)]
        order = {id(layer): i for i, layer in enumerate(model.stack)}
        calls = [
            [order[id(c.function)], place(list(c.args)), place(dict(c.keywords))]
            for c in model.calls
        ]
        layers = [self(layer) for layer in model.stack]
        return {
            "kind": "layer", "class": "Functional", "layers": layers, "calls": calls,
            "inputs": inputs, "outputs": place(model.outputs), "name": model.name,
            "single": isinstance(model.inputs, Symbol),
        }  # fmt: skip


class _Maker:
    """The way back; raises SavedModelError for a class that is not known."""

    def __init__(self, custom: Mapping[str, Any]) -> None:
        self.tables: dict[str, Mapping[str, Any]] = {**_known(), "custom": custom}
        self.tables["activation"] = nn.activations.ACTIVATIONS

    def __call__(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "dict" in value:
            return {k: self(v) for k, v in value["dict"].items()}
        if "array" in value:
            return np.asarray(value["array"], dtype=value["dtype"])
        if value.get("class") == "Functional":
            return self._functional(value)
        name = str(value.get("class", value.get("function")))
        found = self.tables.get(value.get("kind", ""), {}).get(name)
        if found is None:
            raise SavedModelError(
                f"load: {value.get('kind')} {name!r} is not known; for a class or function of your"
                " own pass custom_objects={name: it}"
            )
        if "function" in value:
            return found
        return found.from_config({k: self(v) for k, v in value["config"].items()})

    def _functional(self, value: dict[str, Any]) -> Any:
        from tracejit import tree
        from tracejit.models import Functional
        from tracejit.nn.symbolic import Symbol

        inputs = [Symbol(tuple(shape), dtype, name) for shape, dtype, name in value["inputs"]]
        layers = [self(layer) for layer in value["layers"]]
        made: list[list[Any]] = []

        def put(item: Any) -> Any:
            if isinstance(item, list):
                return [put(v) for v in item]
            if isinstance(item, dict) and "symbol" in item:
                kind, number, *position = item["symbol"]
                return inputs[number] if kind == "input" else made[number][position[0]]
            if isinstance(item, dict) and "dict" in item:
                return {k: put(v) for k, v in item["dict"].items()}
            return self(item)

        for number, args, keywords in value["calls"]:
            made.append(tree.leaves(layers[number](*put(args), **put(keywords))))
        given = inputs[0] if value["single"] else inputs
        return Functional(given, put(value["outputs"]), name=value["name"])


def _training(model: Any, describe: _Describer) -> tuple[dict[str, Array], Any]:
    """The state of the training and its settings; None before `compile`."""
    compiled = model.compiled
    if compiled is None:
        return {}, None
    optimizer = compiled.optimizer
    arrays = {f"optimizer.{n}": v.numpy() for n, v in optimizer.counters().items()}
    names = {id(v): n for n, v in model.named_variables()}
    for variable, slots in optimizer._state.items():
        for slot, held in zip(optimizer.all_slots(), slots, strict=True):
            if id(variable) in names:
                arrays[f"optimizer.{slot}/{names[id(variable)]}"] = held.numpy()
    fixed = optimizer._schedule is None
    settings = {
        "optimizer": describe(optimizer),
        "learning_rate": float(optimizer.learning_rate) if fixed else None,
        "loss": describe(compiled.loss),
        "loss_weights": describe(compiled.loss_weights),
        "metrics": describe(compiled.asked[False]),
        "weighted_metrics": describe(compiled.asked[True]),
    }
    return arrays, settings


def save_model(
    model: Any, path: str | Path, custom_objects: Mapping[str, Any] | None = None
) -> None:
    """Everything: layers, weights, random states, optimizer, settings of `compile`, seed."""
    if not model.built:
        raise ValueError(f"save: {model.name} is not built: call it, or build")
    describe = _Describer({type(model).__name__: type(model), **(custom_objects or {})})
    arrays = {f"model.{n}": v.numpy() for n, v in model.named_variables()}
    state, settings = _training(model, describe)
    description = {
        "model": describe(model), "training": settings, "seed": model.seed,
        "types": _types(model.input_types),
    }  # fmt: skip
    write(path, {**arrays, **state}, description)


def _types(types: Any) -> Any:
    if isinstance(types, dict):
        return {"dict": {k: _types(v) for k, v in types.items()}}
    if isinstance(types, tuple) and len(types) == 2 and isinstance(types[1], str):
        return {"shape": list(types[0]), "dtype": types[1]}
    return [_types(t) for t in types]


def _symbols(types: Any) -> Any:
    from tracejit.nn.symbolic import Symbol

    if isinstance(types, list):
        return [_symbols(t) for t in types]
    if "dict" in types:
        return {k: _symbols(v) for k, v in types["dict"].items()}
    return Symbol(tuple(types["shape"]), types["dtype"], "x")


def load_model(path: str | Path, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that `model.save` wrote, ready to go on training.

    custom_objects: classes and functions of your own by name; nothing else but what is part of
    tracejit is made. Raises SavedModelError for a file that is damaged or of another kind.
    """
    arrays, description = read(path)
    try:
        make = _Maker(custom_objects or {})
        model = make(description["model"])
        with weights_of_at_most(sum(a.size for a in arrays.values())):
            model.build_with(_symbols(description["types"]))
        model.seed = description["seed"]
        _assign(path, dict(model.named_variables()), arrays, "model.")
        if description["training"] is not None:
            _resume(path, model, make, description["training"], arrays)
    except SavedModelError:
        raise
    except _DAMAGE as error:
        raise SavedModelError(f"{path}: the description is damaged: {error!r}") from error
    return model


def _resume(path: Any, model: Any, make: _Maker, settings: Any, arrays: dict[str, Array]) -> None:
    model.compile(
        make(settings["optimizer"]), make(settings["loss"]), make(settings["loss_weights"]),
        make(settings["metrics"]), make(settings["weighted_metrics"]),
    )  # fmt: skip
    optimizer = model.optimizer
    if settings["learning_rate"] is not None:
        optimizer.learning_rate = settings["learning_rate"]
    named = dict(model.named_variables())
    held: dict[str, Variable] = optimizer.counters()
    trained = {
        key.split("/", 1)[1] for key in arrays if key.startswith("optimizer.") and "/" in key
    }
    for name in named:
        if name in trained:
            slots = zip(optimizer.all_slots(), optimizer._slots(named[name]), strict=True)
            held |= {f"{slot}/{name}": variable for slot, variable in slots}
    _assign(path, held, arrays, "optimizer.")


def _assign(
    path: Any, variables: Mapping[str, Variable], arrays: Mapping[str, Array], prefix: str
) -> None:
    """Puts arrays into Variables of their names and types; all or none."""
    given = {k[len(prefix) :]: a for k, a in arrays.items() if k.startswith(prefix)}
    missing, unknown = (
        sorted(variables.keys() - given.keys()),
        sorted(given.keys() - variables.keys()),
    )
    if missing or unknown:
        raise SavedModelError(f"{path}: other weights: missing {missing}, unknown {unknown}")
    for name, variable in variables.items():
        if given[name].shape != variable.shape or given[name].dtype != variable.dtype:
            raise SavedModelError(
                f"{path}: {name!r} is {given[name].dtype}{list(given[name].shape)}, the model has"
                f" {variable.type}"
            )
    for name, variable in variables.items():
        variable.assign(given[name])


def save_weights(model: Any, path: str | Path) -> None:
    write(path, {f"model.{n}": v.numpy() for n, v in model.named_variables()}, None)


def load_weights(model: Any, path: str | Path) -> None:
    """Of a file of `save_weights` or `save`. Nothing changes where it raises SavedModelError."""
    if not model.built:
        raise ValueError(f"load_weights: {model.name} is not built: call it, or build")
    _assign(path, dict(model.named_variables()), read(path)[0], "model.")
