"""What selectors offer when there are specialists, and what is said about the choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import (
    AUTOMATIC,
    install_candidate,
    load_card,
    locate,
    promote,
    rollback,
)
from napari_flomo.models.card import card_text
from napari_flomo.segmentation import ModelChoice
from napari_flomo.session import (
    Session,
    chosen_model,
    model_options,
    model_text,
    model_to_use,
    promoted_text,
)
from napari_flomo.session.findings import remarks_of
from napari_flomo.session.learning.learning import Learning
from napari_flomo.volumes import Volume

NAME = f"{DEFAULT_MODEL}.tuned-1"


@pytest.fixture
def specialist(tmp_path: Path) -> str:
    """A promoted specialist."""
    source, folder = locate(DEFAULT_MODEL), tmp_path / NAME
    card = load_card(DEFAULT_MODEL)
    assert card.signature is not None
    signature = replace(card.signature, title="LGE", patients=7)
    parent = f"{card.name} {card.sha256}"
    folder.mkdir()
    special = replace(card, name=NAME, parent=parent, signature=signature)
    (folder / "card.json").write_text(card_text(special))
    weights = (source / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights)
    promote(install_candidate(folder), despite_gate=True)
    return NAME


def test_selectors_offer_the_choice_by_the_image(specialist: str) -> None:
    title, name, _tip = model_options()[0]
    assert (title, name) == ("Chosen by the image", AUTOMATIC)
    titles = {option[1]: option[0] for option in model_options()}
    assert titles[specialist] == f"{specialist} (LGE specialist)"
    assert titles[DEFAULT_MODEL] == DEFAULT_MODEL
    assert chosen_model(None) == chosen_model(AUTOMATIC) == AUTOMATIC
    assert chosen_model(DEFAULT_MODEL) == DEFAULT_MODEL, "a name means that model"
    assert model_to_use(specialist) == model_to_use(DEFAULT_MODEL) == AUTOMATIC
    assert "for images like those" in promoted_text(specialist)
    assert model_text(AUTOMATIC).startswith("Specialist for LGE")
    assert Learning.base(AUTOMATIC) == DEFAULT_MODEL
    rollback(DEFAULT_MODEL)
    assert chosen_model(AUTOMATIC) == DEFAULT_MODEL
    assert AUTOMATIC not in {option[1] for option in model_options()}


@pytest.mark.parametrize(
    ("title", "reason", "text"),
    [
        ("LGE", "nearest", "LGE specialist, chosen by the image"),
        (DEFAULT_MODEL, "stranger", "because no specialist matches the image"),
        (DEFAULT_MODEL, "failed", "because the specialists could not be used"),
    ],
)
@pytest.mark.usefixtures("specialist")
def test_the_panel_says_what_the_image_chose(
    session: Session, make_heart: Callable[..., Volume], title: str, reason: Any, text: str
) -> None:
    key = session.add(make_heart(), "heart")
    session.segment(key, AUTOMATIC).result()
    image = session.image(key)
    assert image.model == "toy", "maps are computed with the model that was chosen"
    assert image.segmentation is not None
    choice = ModelChoice(NAME, title, reason, problems=("A specialist is damaged.",))
    image.segmentation = choice.noted(image.segmentation)
    assert text in model_text(AUTOMATIC, image)
    assert text not in model_text(DEFAULT_MODEL, image)
    assert "A specialist is damaged." in remarks_of(image)
