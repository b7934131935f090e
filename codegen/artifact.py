"""What a compiled graph needs in order to run, as it is kept on disk between processes.

Found by the fingerprint of the graph, so a second process goes from the trace to running code
without a pass, a schedule or a line of IR.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tracejit.codegen.cost import Cost, flops, moved, seconds
from tracejit.codegen.objects import compiler_version
from tracejit.codegen.per_body import PerBody
from tracejit.codegen.program import is_call
from tracejit.codegen.runtime.cache import cache_key, disk_cache
from tracejit.codegen.runtime.host import HostCall, host_call, read_host_call
from tracejit.ir import config
from tracejit.ir.fingerprint import fingerprint
from tracejit.ir.graph import Graph

if TYPE_CHECKING:
    from tracejit.codegen.launches import Launch, Plan


@dataclass(frozen=True, slots=True)
class Artifact:
    """symbols: the kernels to link. identity: the text of the program that calls them.

    modules: the keys of the object code that has both, once that is known (`codegen/objects.py`).
    calls: the symbols of host calls, each with what its callable has to do.
    seconds: about how long a call takes on one thread. parallel: whether the team runs it.
    failure: the word of the arena that says whether a host call failed [bytes from its start].
    """

    symbols: tuple[str, ...]
    identity: str
    seconds: float
    parallel: bool
    cost: Cost
    calls: dict[str, HostCall]
    failure: int | None
    modules: tuple[str, ...] = ()


def artifact_of(plan: Plan, symbols: Mapping[Launch, str], program: str) -> Artifact:
    nests = [launch.plain for launch in plan.launches]
    cost = Cost(
        flops=sum(map(PerBody(flops), nests)),
        bytes=sum(map(PerBody(moved), nests)),
        kernels=len(symbols),
        barriers=plan.barriers,
        arena_bytes=plan.arena_bytes,
    )
    unique = dict.fromkeys(symbol for launch, symbol in symbols.items() if not is_call(launch))
    calls = {symbol: host_call(u.kernel) for u, symbol in symbols.items() if is_call(u)}
    estimate = sum(map(PerBody(seconds), nests))
    return Artifact(tuple(unique), program, estimate, plan.parallel, cost, calls, plan.failure)


def artifact_key(graph: Graph) -> str:
    return cache_key(compiler_version(), config.key_values(), "program", fingerprint(graph))


def load_artifact(key: str) -> Artifact | None:
    """The artifact of an earlier process, None if there is none."""
    disk = disk_cache()
    entry = disk.get(key) if disk is not None else None
    if entry is None:
        return None
    try:
        fields = json.loads(entry.payload)
        cost = Cost(**fields.pop("cost"))
        calls = {name: read_host_call(call) for name, call in fields.pop("calls").items()}
        symbols, modules = tuple(fields.pop("symbols")), tuple(fields.pop("modules"))
        return Artifact(symbols, cost=cost, calls=calls, modules=modules, **fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def save_artifact(key: str, artifact: Artifact) -> None:
    disk = disk_cache()
    if disk is not None:
        disk.put(key, json.dumps(asdict(artifact)).encode(), {"program": artifact.cost.kernels})
