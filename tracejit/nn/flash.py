"""Attention in blocks: the scores of some queries at a time, never all of them in memory.

The way back computes the weights again, from the logarithm of the sum of their exponentials. Of
causal attention the scores of a block of queries are made for a block of keys at a time, and half
the pairs are left out: the weights then are relative to the largest score so far.
Source: Dao 2023, FlashAttention-2, arXiv:2307.08691, algorithms 1 and 2.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tracejit.control import fori_loop, scan
from tracejit.control import map as each
from tracejit.custom import custom_vjp
from tracejit.derivatives import vjp
from tracejit.ir.types import F32, F64
from tracejit.trace import current_trace

# Below this length (causal), or as many bytes of scores, all of them at once are as fast: they stay
# in the caches. docs/performance.md has the figures.
MIN_CAUSAL = 192
MIN_BYTES = 1 << 24
# Causal: rows of a block by length. Few blocks leave little out; small ones run slower.
CAUSAL_ROWS = ((2048, 256), (512, 128), (0, 64))
# Otherwise: queries that look at all keys at once. Fewer were slower at every length.
ROWS = 128


def pays(q: Any, k: Any, v: Any, is_causal: bool) -> bool:
    """Whether blocks are better here than all scores at once; define by run they never are."""
    trace = current_trace()
    if trace is None or trace.eager:
        return False
    alike = q.shape[:-2] == k.shape[:-2] == v.shape[:-2] and q.dtype == k.dtype == v.dtype
    if not alike or q.dtype not in (F32, F64):
        return False
    queries, keys = q.shape[-2], k.shape[-2]
    if is_causal:
        return bool(queries == keys >= MIN_CAUSAL)
    return bool(prod(q.shape[:-1]) * keys * q.dtype.itemsize >= MIN_BYTES)


def attend(q: Any, k: Any, v: Any, is_causal: bool, scale: float) -> Any:
    """softmax(q k^T scale) v: [..., T, E] of q [..., T, D], k [..., S, D], v [..., S, E].

    is_causal: of the keys up to the query's place only; T = S then.
    """
    heads = prod(q.shape[:-2])
    flat = (np.reshape(x, (heads, *x.shape[-2:])) for x in (q, k, v))
    return np.reshape(_attend(*flat, is_causal, scale), (*q.shape[:-1], v.shape[-1]))


def _at_once(q: Any, k: Any, v: Any, is_causal: bool, scale: float) -> Any:
    """The same from all scores at once: second derivatives are those of this."""
    scores = np.matmul(np.multiply(q, scale), np.swapaxes(k, -1, -2))
    if is_causal:
        scores = np.where(_not_after(scores.shape[-1]), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.matmul(weights / weights.sum(-1, keepdims=True), v)


def _pulled_at_once(
    q: Any, k: Any, v: Any, y: Any, lse: Any, g: Any, is_causal: bool, scale: float
) -> Any:
    """The cotangents of q, k and v for g, that of y. lse: log sum exp of each query's scores."""
    return vjp(lambda q, k, v: _at_once(q, k, v, is_causal, scale), q, k, v)[1](g)


_attend = custom_vjp(_at_once, nondiff_argnums=(3, 4))
_pull = custom_vjp(_pulled_at_once, nondiff_argnums=(6, 7))


def _attend_fwd(q: Any, k: Any, v: Any, is_causal: bool, scale: float) -> tuple[Any, Any]:
    y, lse = _forward(q, k, v, is_causal, scale)
    return y, (q, k, v, y, lse)


def _attend_bwd(is_causal: bool, scale: float, kept: Any, g: Any) -> Any:
    return _pull(*kept, g, is_causal, scale)


def _pull_fwd(
    q: Any, k: Any, v: Any, y: Any, lse: Any, g: Any, is_causal: bool, scale: float
) -> tuple[Any, Any]:
    return _backward(q, k, v, y, lse, g, is_causal, scale), (q, k, v, g)


def _pull_bwd(is_causal: bool, scale: float, kept: Any, cotangents: Any) -> Any:
    """As those of `_pulled_at_once`, which y and lse have no part in."""

    def pulled(q: Any, k: Any, v: Any, g: Any) -> Any:
        return _pulled_at_once(q, k, v, None, None, g, is_causal, scale)

    of_q, of_k, of_v, of_g = vjp(pulled, *kept)[1](cotangents)
    return of_q, of_k, of_v, None, None, of_g


_attend.defvjp(_attend_fwd, _attend_bwd)
_pull.defvjp(_pull_fwd, _pull_bwd)


def _forward(q: Any, k: Any, v: Any, is_causal: bool, scale: float) -> tuple[Any, Any]:
    """The result, and log sum exp of the scores of each query."""
    head = _causal if is_causal else _whole
    y, lse = each(lambda x: head(*x), _in_blocks(q, k, v, is_causal, scale))
    return _joined(y, q.shape[1]), _joined(lse, q.shape[1])


def _backward(
    q: Any, k: Any, v: Any, y: Any, lse: Any, g: Any, is_causal: bool, scale: float
) -> tuple[Any, Any, Any]:
    """The cotangents of q, k and v."""
    head = _causal_back if is_causal else _whole_back
    sides = _in_blocks(q, k, v, is_causal, scale)
    rows = sides[0].shape[2]
    of_y = (_cut(x, rows) for x in (g, (g * y).sum(-1), lse))
    of_q, of_k, of_v = each(lambda x: head(*x), (*sides, *of_y))
    if is_causal:
        of_k, of_v = _joined(of_k, k.shape[1]), _joined(of_v, k.shape[1])
    return _joined(of_q, q.shape[1]) * scale, of_k, of_v


# Blocks


def _in_blocks(q: Any, k: Any, v: Any, is_causal: bool, scale: float) -> tuple[Any, Any, Any]:
    """q, scaled, in blocks of rows; so k and v, if queries look at a block of these at a time."""
    keys = k.shape[1]
    q = np.multiply(q, scale)
    if not is_causal:
        return _cut(q, min(ROWS, q.shape[1])), k, v
    rows = next(rows for length, rows in CAUSAL_ROWS if keys >= length)
    return _cut(q, rows), _cut(k, rows), _cut(v, rows)


def _cut(x: Any, rows: int) -> Any:
    """[heads, length, ...] -> [heads, blocks, rows, ...], with zeros behind the last."""
    missing = -x.shape[1] % rows
    if missing:
        x = np.pad(x, [(0, 0), (0, missing), *[(0, 0)] * (x.ndim - 2)])
    return np.reshape(x, (x.shape[0], -1, rows, *x.shape[2:]))


def _joined(x: Any, length: int) -> Any:
    """[heads, blocks, rows, ...] -> [heads, length, ...], without what was added behind."""
    whole = np.reshape(x, (x.shape[0], -1, *x.shape[3:]))
    return whole if whole.shape[1] == length else whole[:, :length]


def _not_after(length: int) -> Any:
    """bool [query, key]: the key does not come after the query."""
    return np.tril(np.ones((length, length), np.bool_))


# One head: q [blocks, rows, D]; k [S, D] and v [S, E], or in blocks as q


def _whole(q: Any, k: Any, v: Any) -> tuple[Any, Any]:
    def block(q: Any) -> tuple[Any, Any]:
        scores = np.matmul(q, k.T)
        largest = scores.max(-1)
        weights = np.exp(scores - largest[:, None])
        total = weights.sum(-1)
        return np.matmul(weights / total[:, None], v), largest + np.log(total)

    return each(block, q)


def _whole_back(q: Any, k: Any, v: Any, g: Any, inner: Any, lse: Any) -> tuple[Any, Any, Any]:
    """inner: the sums of g * y of each query."""

    def block(state: Any, queries: Any) -> Any:
        of_q, state = _pair_back(state, queries, (k, v))
        return state, of_q

    start = np.zeros_like(k), np.zeros_like(v)
    (of_k, of_v), of_q = scan(block, start, (q, g, inner, lse))
    return of_q, of_k, of_v


def _pair_back(state: Any, queries: Any, keys: Any, seen: Any = None) -> tuple[Any, Any]:
    """What some queries, (q, g, inner, lse), and keys, (k, v), add.

    The cotangent of q; and `state`, those of k and v, with theirs.
    """
    (q, g, inner, lse), (k, v) = queries, keys
    weights = np.exp(_scores(q, k, seen) - lse[:, None])
    of_scores = weights * (np.matmul(g, v.T) - inner[:, None])
    of_k, of_v = state
    state = of_k + np.matmul(of_scores.T, q), of_v + np.matmul(weights.T, g)
    return np.matmul(of_scores, k), state


def _scores(q: Any, k: Any, seen: Any) -> Any:
    """[queries, keys]. seen: bool, where a query may look; None: everywhere."""
    scores = np.matmul(q, k.T)
    return scores if seen is None else np.where(seen, scores, -np.inf)


def _causal(q: Any, k: Any, v: Any) -> tuple[Any, Any]:
    """The block on the diagonal stands apart from those before it, of which nothing is masked."""
    blocks, rows = q.shape[:2]

    def block(turn: Any) -> tuple[Any, Any]:
        i, q, k_there, v_there = turn

        def look(state: Any, k: Any, v: Any, seen: Any = None) -> Any:
            largest, total, mixed = state
            scores = _scores(q, k, seen)
            now = np.maximum(largest, scores.max(-1))
            weights, fade = np.exp(scores - now[:, None]), np.exp(largest - now)
            mixed = mixed * fade[:, None] + np.matmul(weights, v)
            return now, total * fade + weights.sum(-1), mixed

        lowest = np.full(rows, np.finfo(q.dtype).min, q.dtype)
        start = lowest, np.zeros_like(lowest), np.zeros((rows, v.shape[-1]), q.dtype)
        state = fori_loop(0, i, lambda j, state: look(state, k[j], v[j]), start)
        largest, total, mixed = look(state, k_there, v_there, _not_after(rows))
        return mixed / total[:, None], largest + np.log(total)

    return each(block, (np.arange(blocks), q, k, v))


def _causal_back(q: Any, k: Any, v: Any, g: Any, inner: Any, lse: Any) -> tuple[Any, Any, Any]:
    blocks, rows = q.shape[:2]
    queries = q, g, inner, lse

    def block(of_q: Any, turn: Any) -> Any:
        j, keys, queries_there = turn

        def look(i: Any, state: Any, queries: Any, seen: Any = None) -> Any:
            of_q, of_keys = state
            more, of_keys = _pair_back(of_keys, queries, keys, seen)
            return of_q.at[i].add(more), of_keys

        start = of_q, tuple(map(np.zeros_like, keys))
        state = look(j, start, queries_there, _not_after(rows))
        return fori_loop(
            j + 1, blocks, lambda i, state: look(i, state, [x[i] for x in queries]), state
        )

    of_q, of_keys = scan(block, np.zeros_like(q), (np.arange(blocks), (k, v), queries))
    return of_q, *of_keys
