"""Which model is used: what selectors offer, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.models import AUTOMATIC, default_model, family, info, list_models
from napari_flomo.session import messages, model_messages
from napari_flomo.session.image_state import OpenImage

ModelOption = tuple[str, str, str]
"""Title, name and tooltip."""


def model_options() -> list[ModelOption]:
    """Return the models that a selector offers, with specialists the automatic choice first."""
    options = [
        (model_messages.model_title(state), state.name, state.summary)
        for state in list_models()
        if state.place != "unpublished"
    ]
    if default_model(DEFAULT_MODEL) == AUTOMATIC:
        options.insert(0, (model_messages.AUTOMATIC_TITLE, AUTOMATIC, model_messages.AUTOMATIC_TIP))
    return options


def chosen_model(remembered: str | None) -> str:
    """Return what a selector shows first: the remembered model, or that used by default."""
    default = default_model(DEFAULT_MODEL)
    return default if remembered in (None, "", AUTOMATIC) else str(remembered)


def model_to_use(model: str) -> str:
    """Return what to choose after a promotion or its undoing: of the default family the default."""
    members = family(DEFAULT_MODEL)
    names = {members.parent, *(one.name for one in members.specialists)}
    return default_model(DEFAULT_MODEL) if model in names else model


def promoted_text(model: str) -> str:
    """Say from when on and for which images a promoted model is used."""
    if any(one.name == model for one in family(DEFAULT_MODEL).specialists):
        return model_messages.SPECIALIST_PROMOTED.format(model)
    return messages.PROMOTED.format(model)


def model_text(model: str, image: OpenImage | None = None) -> str:
    """Describe the model in a selector in rich text; ``image`` is the one on the screen.

    With the automatic choice it also says which model segmented the image.
    """
    found = None if image is None else image.segmentation
    chosen = None if found is None else choice_text(found.manifest)
    if model == AUTOMATIC and found is not None and chosen is not None:
        return f"{chosen}<br>{model_messages.card_text(found.card)}"
    try:
        text = model_messages.card_text(info(model)[1])
    except FlomoError as error:
        return str(error)
    if model != AUTOMATIC:
        return text
    titles = [one.title for one in family(DEFAULT_MODEL).specialists]
    return f"{model_messages.family_text(titles)}<br>{text}"


def choice_text(manifest: Mapping[str, Any]) -> str | None:
    """Say which model an image chose; None if the user did, or there was no choice."""
    choice = manifest.get("choice")
    if not isinstance(choice, Mapping) or choice["reason"] == "alone":
        return None
    return model_messages.choice_text(choice["title"], choice["reason"])


def choice_problems(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why a specialist was not used, a sentence for each problem."""
    choice = manifest.get("choice")
    return tuple(choice["problems"]) if isinstance(choice, Mapping) else ()
