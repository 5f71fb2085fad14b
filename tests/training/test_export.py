"""The sentence about the training in a model card."""

from __future__ import annotations

from dataclasses import replace

from flomo_training.export import training_protocol


def test_protocol_names_the_start_model(recipe):
    assert "starting" not in training_protocol(recipe)
    told = training_protocol(replace(recipe, start_from="parent", average=0.99))
    assert "starting from its parent" in told
    assert "mean of the last weights" in told
