"""Where batches come from: orders, weights, other libraries' tensors, threads that read ahead."""

from __future__ import annotations

import importlib.util
import threading
import time
from typing import Any

import numpy as np
import pytest

from tests.nn.test_models import X, Y, compiled
from tracejit.models import batches, fitting
from tracejit.models.batches import ArrayBatches, IterableBatches, shuffled


def test_an_order_is_of_its_epoch_and_seed() -> None:
    rows = np.arange(10.0)

    def seen(seed: int, epoch: int) -> list[float]:
        source = ArrayBatches(rows, rows, None, 4, shuffled(seed, 10))
        parts = list(source.epoch(epoch))
        assert [len(x) for x, _, _ in parts] == [4, 4, 2]
        assert all((x == y).all() for x, y, _ in parts)
        return np.concatenate([x for x, _, _ in parts]).tolist()

    assert seen(1, 0) == seen(1, 0)
    orders = [seen(1, 0), seen(1, 1), seen(2, 0), rows.tolist()]
    assert all(sorted(order) == rows.tolist() for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_a_block_of_many_batches_is_gathered_at_once(monkeypatch: Any) -> None:
    monkeypatch.setattr(batches, "_BLOCK_BYTES", 64)
    rows = np.arange(20.0, dtype=np.float32)
    whole = np.concatenate([x for x, _, _ in ArrayBatches(rows, None, None, 3, shuffled(0, 20))
                            .epoch(0)])  # fmt: skip
    assert sorted(whole.tolist()) == rows.tolist()


def test_iterables_are_read_ahead_on_a_thread() -> None:
    readers: set[str] = set()
    made = 0

    def source() -> Any:
        nonlocal made
        for i in range(20):
            readers.add(threading.current_thread().name)
            made += 1
            yield np.full(2, i), np.zeros(2)

    most = 0
    for taken, (x, _, _) in enumerate(IterableBatches(source()).epoch(0)):
        assert x[0] == taken
        time.sleep(0.002)
        most = max(most, made - taken - 1)
    assert readers == {"tracejit-batches"}
    # Those that wait, and the one that stands at the door.
    assert 1 <= most <= batches._READ_AHEAD + 1


def test_a_generator_that_is_left_stops() -> None:
    def source() -> Any:
        while True:
            yield np.zeros(2), np.zeros(2)

    epoch = IterableBatches(source()).epoch(0)
    next(epoch)
    epoch.close()
    assert not any(t.name == "tracejit-batches" for t in threading.enumerate())


def test_batches_with_weights() -> None:
    weights = np.linspace(0.5, 2, 70).astype(np.float32)
    plain, given = compiled(), compiled()
    wanted = plain.fit(X, Y, sample_weight=weights, shuffle=False, verbose=0).history
    parts = [(X[i : i + 32], Y[i : i + 32], weights[i : i + 32]) for i in (0, 32, 64)]
    assert given.fit(parts.__iter__(), verbose=0).history == wanted


def test_the_last_batch_is_compiled_beside_the_first(monkeypatch: Any) -> None:
    """No batch waits for a trace: the sizes there are known before the first step."""
    found: dict[int, str] = {}
    traced = fitting.compile_for

    def compile_for(step: Any, batch: Any) -> None:
        found[len(batch[0])] = threading.current_thread().name
        traced(step, batch)

    monkeypatch.setattr(fitting, "compile_for", compile_for)
    model = compiled()
    model.fit(X, Y, verbose=0)
    main = threading.main_thread().name
    assert found[32] == main and found[6] != main
    info = model.step("train").cache_info()
    assert (info.entries, info.misses) == (2, 2)


class Tensor:
    """What a tensor of another library has in common with all: `__array__`."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype

    def __len__(self) -> int:
        return len(self.array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.array, dtype)


def test_tensors_of_other_libraries() -> None:
    wanted = compiled().fit(X, Y, shuffle=False, verbose=0).history["loss"]
    parts = [[Tensor(X[i : i + 32]), Tensor(Y[i : i + 32])] for i in (0, 32, 64)]
    assert compiled().fit(iter(parts), verbose=0).history["loss"] == wanted
    assert compiled().fit(Tensor(X), Tensor(Y), shuffle=False, verbose=0).history["loss"] == wanted


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_loader_of_torch(workers: int) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    pairs = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    loader: Any = DataLoader(pairs, batch_size=32, num_workers=workers)
    wanted = compiled().fit(X, Y, shuffle=False, epochs=2, verbose=0).history["loss"]
    assert compiled().fit(loader, epochs=2, verbose=0).history["loss"] == wanted
    assert compiled().evaluate(loader) == compiled().evaluate(X, Y)
