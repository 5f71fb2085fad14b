"""The question before a run that would overwrite work of a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from napari_flomo.session import messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.merging import card_of, labels_agree
from napari_flomo.session.messages import Choice, Message
from napari_flomo.session.overwrite import Overwritten, consent
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.scope import Scope


def overwrite_question(
    image: OpenImage,
    found: Overwritten,
    scope: Scope,
    model: str,
    *,
    undo_hint: str,
    start: Callable[[Mapping[SliceIndex, int]], object],
) -> Message:
    """Return the question whether to keep what is accepted, or else what is corrected.

    Parameters
    ----------
    image, scope, model
        Of the run.
    found
        What it would overwrite.
    undo_hint
        `ViewerAdapter.undo_hint`.
    start
        Starts the run with the `consent` that follows from the answer.
    """
    card = card_of(model)
    fits = labels_agree(image, card)

    def choice(title: str, tip: str, overwritten: frozenset[SliceIndex]) -> Choice:
        consented = consent(image, overwritten)
        return Choice(title, lambda: start(consented), tip)

    kept = found.accepted or found.corrected
    choices = [choice(*messages.SEGMENT_ANEW, found.all)]
    if fits and scope.mask(image.volume.n_frames, image.volume.n_slices).sum() > len(kept):
        keep = choice(messages.keep_title(found), messages.KEEP_TIP, found.all - kept)
        choices.insert(0, keep)
    text = messages.overwrite_text(found, undo_hint, "" if fits or card is None else card.name)
    return Message(text, "warning", choices=tuple(choices), key=image.key)
