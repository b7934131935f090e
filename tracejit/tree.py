"""Pytrees: nested tuples, lists, dicts, named tuples and registered classes of arrays, by optree.

None is a node without leaves, as in JAX. Dicts are walked in the order of their sorted keys.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from typing import Any

import optree

NAMESPACE = "tracejit"

Spec = optree.PyTreeSpec


def flatten(tree: Any) -> tuple[list[Any], Spec]:
    """The leaves from left to right, and the structure."""
    return optree.tree_flatten(tree, namespace=NAMESPACE)


def unflatten(spec: Spec, leaves: Iterable[Any]) -> Any:
    return optree.tree_unflatten(spec, leaves)


def leaves(tree: Any) -> list[Any]:
    return optree.tree_leaves(tree, namespace=NAMESPACE)


def structure(tree: Any) -> Spec:
    return optree.tree_structure(tree, namespace=NAMESPACE)


def map(f: Callable[..., Any], tree: Any, *rests: Any) -> Any:
    """f over the leaves of trees of one structure; the result has that structure."""
    return optree.tree_map(f, tree, *rests, namespace=NAMESPACE)


def reduce(f: Callable[[Any, Any], Any], tree: Any, *initial: Any) -> Any:
    return optree.tree_reduce(f, tree, *initial, namespace=NAMESPACE)


def paths(tree: Any) -> list[tuple[Any, ...]]:
    """For each leaf the keys that lead to it."""
    return optree.tree_paths(tree, namespace=NAMESPACE)


def register(
    cls: builtins.type[Any],
    flatten: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten: Callable[[Any, Iterable[Any]], Any],
) -> None:
    """Makes a class a node. flatten(object) -> (children, rest); unflatten(rest, children)."""
    optree.register_pytree_node(
        cls, flatten, lambda rest, children: unflatten(rest, children), namespace=NAMESPACE
    )


def path_text(path: tuple[Any, ...]) -> str:
    """`['w1'][0]` for ('w1', 0)."""
    return "".join(f"[{key!r}]" for key in path)
