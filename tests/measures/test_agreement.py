"""Limits of agreement in a card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flomo_training.metrics_table import read_metrics
from flomo_training.summary import figures
from napari_flomo import DEFAULT_MODEL
from napari_flomo.measures import agreement_limits
from napari_flomo.models import info
from napari_flomo.session import measure_messages


def test_the_bundled_model(repository: Path) -> None:
    """The limits on the accuracy page are those that users read."""
    card = info(DEFAULT_MODEL)[1]
    found = agreement_limits(card, "left ventricle", "EF")
    assert found is not None
    stated = card.metrics["agreement"]
    cases = f"docs/benchmarks/official_test/{card.name}-{stated['views']}.csv"
    summary = figures(read_metrics(repository / cases))
    assert stated["ventricles"] == summary["ventricles"]
    assert [found.low, found.high] == summary["ventricles"]["left ventricle"]["EF"]["limits"]
    assert found.patients == 50
    assert str(found) == "-8 to +8 %"
    text = measure_messages.agreement_text(card)
    assert text.endswith(
        "(50 patients of the official ACDC test set): left -8 to +8 %, right -16 to +15 %"
    )


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"ventricles": None},
        {"ventricles": {"left ventricle": {"EF": {"limits": [1.0], "unit": "%", "patients": 3}}}},
        {"ventricles": {"left ventricle": {"EF": {"limits": "many"}}}},
        {"ventricles": {"left ventricle": {"EF": 3}}},
    ],
)
def test_missing_limits(metrics: dict[str, Any]) -> None:
    card = replace(info(DEFAULT_MODEL)[1], metrics=metrics)
    assert agreement_limits(card, "left ventricle", "EF") is None
    assert measure_messages.agreement_text(card) == ""


def test_one_ventricle_only() -> None:
    one = {"limits": [-3.0, 4.0], "unit": "%", "patients": 7}
    card = replace(info(DEFAULT_MODEL)[1], metrics={"ventricles": {"left ventricle": {"EF": one}}})
    assert measure_messages.agreement_text(card).endswith(
        "7 patients not seen in training): left -3 to +4 %"
    )
