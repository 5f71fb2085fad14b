"""Benchmark pages are what their scripts write from the committed measurements."""

from __future__ import annotations

import pytest

NAMES = ("accuracy", "correction_loop", "networks", "peers", "speed", "uncertainty")


@pytest.mark.parametrize("name", NAMES)
def test_page_is_up_to_date(load_benchmark, repository, name):
    page = repository / "docs" / "benchmarks" / f"{name}.md"
    assert load_benchmark("pages").PAGES[name]() == page.read_text(encoding="utf-8")


def test_every_rendered_page_is_checked(load_benchmark):
    assert set(load_benchmark("pages").PAGES) == set(NAMES)


def test_table_of_items(load_benchmark):
    items = [{"n": 1, "dice": 0.5}, {"n": 2, "dice": 0.25}]
    columns = {"n": "{0[n]}", "%": lambda item: f"{100 * item['dice']:.0f}"}
    text = load_benchmark("page_writer").table_of(items, columns)
    assert text.splitlines() == ["| n | % |", "| --- | --- |", "| 1 | 50 |", "| 2 | 25 |"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5, 0.25, 0.75], "0.500 (0.250 to 0.750)"),
        ([0.5, None, None], "0.500"),
        ([0.5, float("nan"), float("nan")], "0.500"),
        ([None, None, None], "–"),
    ],
)
def test_interval(load_benchmark, values, text):
    assert load_benchmark("page_writer").interval(values, 3) == text
