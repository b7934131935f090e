"""Where the batches of `fit`, `evaluate` and `predict` come from.

Arrays are cut into batches without a copy; shuffled, a block of many batches is gathered at once.
Anything else that can be iterated is read ahead on a thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.errors import ShapeError
from tracejit.ir.types import F64
from tracejit.trace import default_float, foreign_array

# x, y, sample_weight; the last two may be None.
Batch = tuple[Any, Any, Any]

_BLOCK_BYTES = 1 << 19
_READ_AHEAD = 2


def as_numpy(value: Any) -> Any:
    """Arrays, tensors, lists of numbers as arrays, f64 as the default float; in any tree."""
    if value is None:
        return None
    if isinstance(value, list | tuple | dict) and any(map(np.ndim, tree.leaves(value))):
        return tree.map(_one, value)
    return _one(np.asarray(value) if isinstance(value, list | tuple) else value)


def _one(value: Any) -> Any:
    array = value if isinstance(value, np.ndarray) else _foreign(value)
    return array.astype(default_float()) if array.dtype == F64 else array


def _foreign(value: Any) -> Any:
    if isinstance(value, int | float | list | tuple | np.generic):
        return np.asarray(value)
    return foreign_array(value)


def _gathered(rows: Any, array: Any) -> Any:
    """Rows of an array. They are in range: "clip" saves `take` the check and half of the time."""
    return np.take(array, rows, axis=0, mode="clip")


class ArrayBatches:
    """Batches of arrays that are all there. `order(epoch)` is a permutation, or None."""

    def __init__(
        self,
        x: Any,
        y: Any = None,
        weight: Any = None,
        batch_size: int = 32,
        order: Callable[[int], Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} is less than 1")
        self.arrays: Batch = (as_numpy(x), as_numpy(y), as_numpy(weight))
        sizes = {len(a) for a in tree.leaves(self.arrays)}
        if len(sizes) != 1:
            raise ShapeError(f"arrays of different lengths: {sorted(sizes)} examples")
        (self.examples,) = sizes
        if self.examples == 0:
            raise ShapeError("no examples: the arrays are empty")
        self.batch_size = min(batch_size, self.examples)
        self.order = order

    @property
    def steps(self) -> int:
        return -(-self.examples // self.batch_size)

    def shapes(self) -> list[Batch]:
        """A batch of each size there is: whole ones, and the rest if there is one."""
        sizes = [self.batch_size]
        if self.examples % self.batch_size:
            sizes.append(self.examples % self.batch_size)
        return [self._cut(self.arrays, 0, n) for n in sizes]

    def epoch(self, number: int) -> Iterator[Batch]:
        order = self.order(number) if self.order is not None else None
        if order is None:
            yield from self._slices(self.arrays, self.examples)
            return
        row = sum(a.nbytes for a in tree.leaves(self.arrays)) // self.examples
        batches = max(_BLOCK_BYTES // max(row * self.batch_size, 1), 1)
        span = batches * self.batch_size
        for start in range(0, self.examples, span):
            rows = order[start : start + span]
            yield from self._slices(tree.map(partial(_gathered, rows), self.arrays), len(rows))

    def _slices(self, arrays: Batch, count: int) -> Iterator[Batch]:
        size, (x, y, w) = self.batch_size, arrays
        if not all(v is None or type(v) is np.ndarray for v in arrays):
            for start in range(0, count, size):
                yield self._cut(arrays, start, min(start + size, count))
            return
        # Each step passes here: for plain arrays no more than the slices.
        for start in range(0, count, size):
            rows = slice(start, start + size)
            yield x[rows], None if y is None else y[rows], None if w is None else w[rows]

    @staticmethod
    def _cut(arrays: Batch, start: int, stop: int) -> Batch:
        cut: Batch = tree.map(lambda a: a[start:stop], arrays)
        return cut


class IterableBatches:
    """Batches from anything that can be iterated: x, (x,), (x, y) or (x, y, sample_weight).

    steps: how many make an epoch; None is as many as come. What has no new start, a generator,
    goes on where it stopped.
    """

    def __init__(self, source: Iterable[Any], steps: int | None = None) -> None:
        self.source = source
        self.count = steps
        self.running = iter(source) if iter(source) is source else None
        self._first: list[Batch] = []

    @property
    def steps(self) -> int | None:
        if self.count is not None:
            return self.count
        return len(self.source) if isinstance(self.source, Sized) else None

    def shapes(self) -> list[Batch]:
        """The first batch."""
        if not self._first:
            for batch in self._raw():
                self._first.append(batch)
                break
            else:
                raise ShapeError("no examples: the iterable gave no batch")
        return self._first[:1]

    def _raw(self) -> Iterator[Batch]:
        for item in self.running if self.running is not None else self.source:
            given = tuple(item) if isinstance(item, list | tuple) else (item,)
            if not 1 <= len(given) <= 3:
                raise ShapeError(f"a batch is x, (x, y) or (x, y, weights), not {len(given)} parts")
            x, y, w = (*map(as_numpy, given), None, None)[:3]
            yield x, y, w

    def epoch(self, number: int) -> Iterator[Batch]:
        taken = 0
        if self.running is not None:
            while self._first:
                taken += 1
                yield self._first.pop()
        yield from read_ahead(self._raw(), None if self.count is None else self.count - taken)


def read_ahead(source: Iterator[Any], limit: int | None) -> Iterator[Any]:
    """What the iterator gives, at most `limit` items, made on a thread a few items early."""
    reader = _Reader(islice(source, limit))
    thread = threading.Thread(target=reader.read, name="tracejit-batches", daemon=True)
    thread.start()
    try:
        yield from reader.items()
    finally:
        reader.stop.set()
        thread.join()


class _Reader:
    """Hands items from a thread that makes them to one that takes them."""

    def __init__(self, source: Iterator[Any]) -> None:
        self.source = source
        self.stop = threading.Event()
        # An item, or what ended the source: None, or what it raised.
        self._made: queue.Queue[tuple[bool, Any]] = queue.Queue(_READ_AHEAD)

    def read(self) -> None:
        """Makes items until there are no more, or nobody wants them."""
        try:
            for item in self.source:
                if not self._put(True, item):
                    return
            self._put(False, None)
        except BaseException as error:
            self._put(False, error)

    def _put(self, more: bool, item: Any) -> bool:
        while not self.stop.is_set():
            try:
                self._made.put((more, item), timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

    def items(self) -> Iterator[Any]:
        """Raises what making them raised."""
        while True:
            more, item = self._made.get()
            if more:
                yield item
            elif item is None:
                return
            else:
                raise item


Batches = ArrayBatches | IterableBatches


def shuffled(seed: int, examples: int) -> Callable[[int], Any]:
    """The order of an epoch, which its number and the seed decide: a run can be taken up again."""

    def order(epoch: int) -> Any:
        bits = np.random.Philox(key=np.array([seed, epoch], np.uint64))
        return np.random.Generator(bits).permutation(examples)

    return order


def is_source(x: Any) -> bool:
    """Whether x gives batches itself, rather than being arrays."""
    if hasattr(x, "shape") or isinstance(x, dict | list | tuple):
        return False
    return hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def class_weights(y: Any, weights: dict[int, float], sample_weight: Any) -> Any:
    """Weights per example: that of its class (an int, or the largest of a row) times its own."""
    labels = np.asarray(y)
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(-1)
    labels = labels.reshape(len(labels)).astype(np.int64)
    table = np.ones(max(int(labels.max()), *weights) + 1, np.float32)
    for label, weight in weights.items():
        table[label] = weight
    found = table[labels]
    return found if sample_weight is None else found * np.asarray(sample_weight).reshape(-1)
