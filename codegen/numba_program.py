"""Prints a program as Python: the kernels' functions, and one that calls them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tracejit.codegen.launches import Plan, Slot
from tracejit.codegen.nest import Buffer, Kernel, kernel_text
from tracejit.codegen.numba_calls import IMPORT, call_lines
from tracejit.codegen.numba_emitter import module_source, printed_function
from tracejit.codegen.numba_flow import FlowLines, body_head, body_name, body_where
from tracejit.codegen.numba_library import Names
from tracejit.codegen.numba_operations import buffer_dtype, is_small
from tracejit.ir.graph import Array, Graph
from tracejit.ir.types import BF16, BOOL, DType, is_integer


def program_source(plan: Plan, *, decorator: bool = True) -> str:
    """A file that runs on its own: `program` takes the inputs and returns the outputs.

    Inputs are contiguous arrays of the graph's shapes; those that an output takes over are updated
    and returned. bf16, which NumPy lacks, goes in and out as u16. Run as a script it calls itself
    once on random inputs and prints the shape and the sum of each output.
    """
    kernels = _distinct(plan)
    module = module_source(list(dict.fromkeys(kernels.values())), decorator=decorator)
    module += IMPORT if any(launch.plain.kind == "host" for launch in plan.flat()) else ""
    functions = [*_body_functions(plan, kernels), _program_function(plan, kernels)]
    return "\n\n".join([module, *functions, _main(plan.graph)])


def _distinct(plan: Plan) -> dict[str, Kernel]:
    """For each kernel's name the first kernel with the same code: equal layers share theirs."""
    first: dict[str, Kernel] = {}
    return {
        k.name: first.setdefault(kernel_text(k, locations=False, name="k"), k)
        for k in (launch.plain for launch in plan.flat() if launch.plain.kind != "host")
    }


def _program_function(plan: Plan, kernels: Mapping[str, Kernel]) -> str:
    graph = plan.graph
    names = Names({"arena", "t", "index", "goes", *(u.plain.name for u in plan.flat())})
    inputs = [names.of(graph.input_name(n), f"input{i}") for i, n in enumerate(graph.inputs)]
    fresh = [names.of(f"out{i}", "output") for i in range(len(plan.fresh))]
    lines = [f"def program({', '.join(inputs)}):"]
    lines += [f"    # {name}: {n.type}" for name, n in zip(inputs, graph.inputs, strict=True)]
    for name, position in zip(fresh, plan.fresh, strict=True):
        node = graph.outputs[position]
        dtype = "uint16" if node.dtype == BF16 else _numpy_name(node.dtype)
        lines.append(f"    {name} = np.empty({node.shape}, dtype=np.{dtype})")
    if plan.arena_bytes:
        lines.append(f"    arena = np.empty({plan.arena_bytes}, dtype=np.uint8)")

    def where(slot: Slot, buffer: Buffer) -> str:
        if slot.place == "arena":
            return _in_arena(slot, buffer)
        view = f".view(np.{buffer_dtype(buffer.dtype).name})" if is_small(buffer.dtype) else ""
        name = (inputs if slot.place == "input" else fresh)[slot.at]
        return f"{name}.reshape(-1){view}"

    lines += _launch_lines(plan, kernels, where)
    homes = dict(zip(plan.fresh, fresh, strict=True))
    results = [
        homes[i] if donor is None else inputs[donor] for i, donor in enumerate(graph.donated)
    ]
    return "\n".join([*lines, f"    return ({', '.join(results)}{',' * (len(results) == 1)})", ""])


def _in_arena(slot: Slot, buffer: Buffer) -> str:
    end = slot.at + buffer.size * buffer.dtype.itemsize
    return f"arena[{slot.at}:{end}].view(np.{buffer_dtype(buffer.dtype).name})"


def _launch_lines(
    plan: Plan, kernels: Mapping[str, Kernel], where: Callable[[Slot, Buffer], str]
) -> Iterator[str]:
    for launch in plan.launches:
        if launch.plain.kind == "host":
            yield from call_lines(launch, where)
        elif launch.flow is not None:
            yield from FlowLines(launch, where, _in_arena).lines()
        else:
            outer = [b for b in launch.plain.buffers if b.role != "scratch"]
            operands = ", ".join(map(where, launch.slots, outer))
            yield f"    {kernels[launch.plain.name].name}({operands})"


def _body_functions(plan: Plan, kernels: Mapping[str, Kernel]) -> Iterator[str]:
    """The functions of bodies, those inside others first."""
    for launch in plan.launches:
        for n, body in enumerate(launch.flow.plans if launch.flow is not None else ()):
            yield from _body_functions(body, kernels)
            lines = list(_launch_lines(body, kernels, body_where(_in_arena)))
            head = body_head(body, body_name(launch, n))
            yield "\n".join([head, *(lines or ["    pass"]), ""])


def _numpy_name(dtype: DType) -> str:
    return "bool_" if dtype == BOOL else str(dtype.name)


def _main(graph: Graph) -> str:
    lines = ['if __name__ == "__main__":', "    rng = np.random.default_rng(0)", "    inputs = ["]
    for node in graph.inputs:
        size = f"size={node.shape}"
        if node.dtype == BF16:
            value = (
                f"(rng.normal({size}).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)"
            )
        elif node.dtype == BOOL:
            value = f"rng.integers(0, 2, {size}).astype(np.bool_)"
        elif is_integer(node.dtype):
            value = f"rng.integers(0, 10, {size}).astype(np.{node.dtype.name})"
        else:
            value = f"rng.normal({size}).astype(np.{node.dtype.name})"
        lines.append(f"        np.asarray({value}),")
    return "\n".join(
        [
            *lines,
            "    ]",
            '    with np.errstate(all="ignore"):',
            "        for output in program(*inputs):",
            "            print(output.dtype, output.shape, output.sum())",
            "",
        ]
    )


def run_program(plan: Plan, arrays: Sequence[Array], *, use_numba: bool = True) -> list[Array]:
    """The outputs of a program for contiguous inputs; donated ones are updated and returned."""
    function = printed_function(program_source(plan, decorator=use_numba), "program")
    given = [np.asarray(a, order="C") for a in arrays]
    with np.errstate(all="ignore"):
        outputs = function(*(a.view(np.uint16) if a.dtype == BF16 else a for a in given))
    return [
        given[donor] if donor is not None else output.view(node.dtype)
        for output, node, donor in zip(outputs, plan.graph.outputs, plan.graph.donated, strict=True)
    ]
