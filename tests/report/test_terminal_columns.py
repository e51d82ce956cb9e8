from __future__ import annotations

import pytest

from lora2_search.report.tables.terminal import Extent, extent, fitting


@pytest.mark.parametrize(
    ("head", "cells", "expected"),
    [
        ("n", ["3", "12"], Extent(2, 2)),
        ("validation accuracy", ["0.8712 *", "-"], Extent(10, 19)),
        ("test accuracy", ["84.12 ± 0.50 %"], Extent(14, 14)),
        ("95 % interval", ["-1.20 to +3.40"], Extent(14, 14)),
        ("trained", ["168,480", ""], Extent(7, 7)),
        ("p", ["< 0.0001", "–"], Extent(8, 8)),
        ("time left", ["12 min 30 s"], Extent(11, 11)),
        ("runs", ["2 completed, 1 failed"], Extent(10, 21)),
        ("run", ["without-orthogonality, seed 10"], Extent(22, 30)),
        ("error", ["/a/very/long/path/of/more/than/a/line"], Extent(24, 37)),
    ],
)
def test_a_number_is_as_narrow_as_it_is_long_and_a_text_as_its_words(
    head: str, cells: list[str], expected: Extent
) -> None:
    assert extent(head, cells) == expected


@pytest.mark.parametrize(
    ("room", "widths"),
    [
        (5, [10]),  # the first column is shown whatever the room
        (16, [16]),
        (17, [10, 5]),
        (30, [20, 5]),
        (31, [10, 5, 12]),  # a third column rather than a text on one line
        (45, [20, 5, 16]),
        (99, [20, 5, 30]),
    ],
)
def test_columns_fit_from_the_first_and_spare_room_goes_to_texts(
    room: int, widths: list[int]
) -> None:
    assert fitting([Extent(10, 20), Extent(5, 5), Extent(12, 30)], room, 2) == widths
