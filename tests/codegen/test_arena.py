"""The arena: values alive together lie apart, and the lowest gap is taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracejit.codegen.arena import Span, offsets


@given(
    st.lists(
        st.builds(
            lambda size, first, length: Span(64 * size, first, first + length),
            st.integers(1, 9),
            st.integers(0, 12),
            st.integers(0, 6),
        ),
        max_size=40,
    )
)
def test_values_alive_together_lie_apart_each_in_the_lowest_gap(spans: list[Span]) -> None:
    found, size = offsets(spans)
    assert size == max((at + s.size for at, s in zip(found, spans, strict=True)), default=0)
    order = sorted(range(len(spans)), key=lambda n: -spans[n].size)
    for rank, n in enumerate(order):
        before = [
            (found[m], found[m] + spans[m].size)
            for m in order[:rank]
            if spans[m].first <= spans[n].last and spans[m].last >= spans[n].first
        ]
        lowest = 0
        for start, end in sorted(before):
            if start - lowest >= spans[n].size:
                break
            lowest = max(lowest, end)
        assert found[n] == lowest


def test_nothing_takes_no_place() -> None:
    assert offsets([]) == ([], 0)
