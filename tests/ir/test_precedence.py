"""The order of groups and kernels, while they turn out to need one another."""

import random

import pytest

from tracejit.ir.precedence import Precedence


def needed_by(item: int, needs: dict[int, set[int]]) -> set[int]:
    """Itself and all that it needs, found without an order."""
    found = {item}
    stack = [item]
    while stack:
        fresh = needs[stack.pop()] - found
        found |= fresh
        stack += fresh
    return found


@pytest.mark.parametrize("seed", range(8))
def test_what_is_needed_comes_first_whatever_is_found_out_when(seed: int) -> None:
    chance = random.Random(seed)
    needs: dict[int, set[int]] = {n: set() for n in range(30)}
    order = Precedence(needs.__getitem__, range(20))
    for item in range(20, 30):
        order.append(item)
    for _ in range(150):
        item, user = chance.sample(range(30), 2)
        assert order.is_needed(user, by=item) == (user in needed_by(item, needs))
        if user not in needed_by(item, needs):
            order.put_before(item, user)
            needs[user].add(item)
        assert all(order.place[n] < order.place[u] for u, some in needs.items() for n in some)
    assert len(set(order.place.values())) == 30


def test_there_is_room_for_any_number_before_one_user() -> None:
    needs: dict[int, set[int]] = {n: set() for n in range(200)}
    order = Precedence(needs.__getitem__, range(200))
    for item in range(2, 200):
        order.put_before(item, 1)
        needs[1].add(item)
    assert sorted(needs, key=order.place.__getitem__) == [0, *range(2, 200), 1]


def test_what_need_each_other_is_refused() -> None:
    needs: dict[str, set[str]] = {"a": set(), "b": {"a"}}
    order = Precedence(needs.__getitem__, "ab")
    with pytest.raises(AssertionError, match="need each other"):
        order.put_before("b", "a")
