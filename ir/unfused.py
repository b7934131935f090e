"""Why the kernels of a fused graph are not fewer: told after the fact, for TRACEJIT_LOG=fusion."""

from __future__ import annotations

from collections.abc import Iterator

from tracejit.ir.draft import MAX_MEMBERS, VIRTUAL
from tracejit.ir.fusion import Fused
from tracejit.ir.graph import Node
from tracejit.ir.group import Group

# Kinds that store in their own way, and so are joined by nothing.
ALONE = ("assemble", "scatter", "host", "control")


def fusion_log(fused: Fused) -> str:
    """A line for each kernel, and one for each kernel that it reads from: why that is another."""
    writer = {node: k for k, group in enumerate(fused.groups) for node in group.outputs}
    reads = [
        sorted({writer[n] for n in _sources(group) if n in writer} - {k})
        for k, group in enumerate(fused.groups)
    ]
    lines = [f"{fused.graph.name}: {len(fused.graph.nodes())} nodes, {len(reads)} kernels"]
    for k, group in enumerate(fused.groups):
        space = " ".join(f"{axis}={extent}" for axis, extent in group.axes)
        lines.append(f"kernel {k}: {group.kind} over [{space}], {len(group.at)} operations")
        for p in reads[k]:
            lines.append(f"  not with kernel {p}: {_reason(fused.groups, reads, p, k)}")
    return "\n".join(lines)


def _reason(groups: tuple[Group, ...], reads: list[list[int]], p: int, k: int) -> str:
    """Why group k, which reads what group p stores, is not the same kernel."""
    producer, reader = groups[p], groups[k]
    members = len(producer.at) + len(reader.at)
    for group in (reader, producer):
        if group.kind in ALONE:
            return f"{group.kind} kernels hold nothing else"
    if set(_operands(reader)) & set(producer.outputs):
        return "a matrix product reads its operands in blocks, many times"
    if members > MAX_MEMBERS:
        return f"together {members} operations, and {MAX_MEMBERS} is the limit"
    between = next((q for q in reads[k] if q != p and _reaches(reads, p, q)), None)
    if between is not None:
        return f"kernel {between} runs between them"
    ours, theirs = _parallel(reader), _parallel(producer)
    if ours != theirs:
        return f"parallel over {list(ours)}, and it over {list(theirs)}"
    return "it is read at other places than where it is computed"


def _sources(group: Group) -> Iterator[Node]:
    """What the group's members read, through index maps."""
    return (_behind(operand) for node in group.at for operand in group.operands(node))


def _operands(group: Group) -> Iterator[Node]:
    products = (node for node in group.at if node.op == "dot_general")
    return (_behind(operand) for node in products for operand in node.inputs)


def _behind(node: Node) -> Node:
    while node.op in VIRTUAL and node.inputs:
        node = node.inputs[0]
    return node


def _reaches(reads: list[list[int]], goal: int, start: int) -> bool:
    """Whether group `start` reads, directly or not, what group `goal` stores."""
    stack, seen = [start], {start}
    while stack:
        fresh = set(reads[stack.pop()]) - seen
        if goal in fresh:
            return True
        seen |= fresh
        stack.extend(fresh)
    return False


def _parallel(group: Group) -> tuple[int, ...]:
    return tuple(extent for axis, extent in group.axes if axis not in group.reduced)
