"""Tuned models on this computer: find, verify, install and delete them.

``tuned/<name>/`` in the user's data folder holds ``card.json``, ``model.safetensors`` and
``gate/``, the report of the gate. `napari_flomo.models.promotion` decides which are in use.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import PathLike, acquire_lock, atomic_folder
from napari_flomo.models import cache, loading
from napari_flomo.models.card import CARD_FILE, GRAPH_FILE, ModelCard, read_card
from napari_flomo.models.index import available, read_index
from napari_flomo.models.promotion_file import promoted_for, tuned_folder

GATE_FOLDER = "gate"
"""Name of the folder with the gate's report in the folder of a tuned model."""
REPORT_FILE = "report.json"

_GATE_FILES = {".json", ".md", ".png"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOCK_TIMEOUT = 30.0


def find(name: str) -> Path | None:
    """Return the folder of a tuned model, or None; nothing in it is checked."""
    if _NAME.fullmatch(name) is None:
        return None
    folder = tuned_folder() / name
    return folder if (folder / CARD_FILE).is_file() else None


def names() -> list[str]:
    """Return the names of the tuned models on this computer, sorted."""
    found = (path.parent.name for path in tuned_folder().glob(f"*/{CARD_FILE}"))
    return sorted(name for name in found if _NAME.fullmatch(name))


def read_verified_card(name: str) -> ModelCard:
    """Return the card of a tuned model after verification of its weights."""
    folder = find(name)
    if folder is None:
        raise FlomoError(f"There is no tuned model {name} on this computer; see flomo models list.")
    card = loading.verified_card(folder)
    if card.name != name:
        raise FlomoError(
            f"The folder of the tuned model {name} holds {card.name}; remove it and train again."
        )
    return card


def install_candidate(folder: PathLike) -> str:
    """Copy a finished candidate to the tuned models of this computer: all of it or nothing.

    It stays a candidate until it is promoted. Installing the same weights again updates the report
    of the gate.

    Parameters
    ----------
    folder
        With ``card.json``, ``model.safetensors`` and, if the gate has run, ``gate/``; it is not
        changed.

    Returns
    -------
    str
        The name of the model.

    Raises
    ------
    FlomoError
        If the model is damaged, has no parent, or has the name of another model.
    """
    source = loading.model_folder(Path(folder).expanduser())
    card = loading.verified_card(source)
    if card.parent is None:
        raise FlomoError(f"{card.name} has no parent, so it cannot replace one.")
    if card.name in available() or card.name in read_index():
        raise FlomoError(
            f"{card.name} is the name of another model; give the candidate a different name."
        )
    with locked():
        target = tuned_folder() / card.name
        if target.absolute() == source.absolute():
            return card.name
        _remove_leftovers()
        with _replacing(target, card):
            try:
                with atomic_folder(target) as new:
                    _copy(source, new)
                    loading.verified_card(new)  # the disk may have failed silently
            except OSError as error:
                raise FlomoError(f"{card.name} could not be copied: {reason_of(error)}.") from error
    return card.name


def delete(name: str) -> int:
    """Delete a tuned model that is not in use and return the bytes that this freed."""
    with locked():
        base = promoted_for(name)
        if base is not None:
            raise FlomoError(
                f"{name} was promoted for {base}, so it cannot be removed; undo that first with: "
                f"flomo models rollback {base}."
            )
        return cache.delete(tuned_folder() / name)


@contextmanager
def locked() -> Iterator[None]:
    """Let only one process at a time change the tuned models."""
    folder = tuned_folder()

    def refused(reason: str) -> str:
        return f"The tuned models in {folder} cannot be changed: {reason}."

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with acquire_lock(
            folder / ".lock",
            _LOCK_TIMEOUT,
            busy="Another program is changing the tuned models; try again when it has finished.",
            refused=refused,
        ):
            yield
    except OSError as error:
        raise FlomoError(refused(reason_of(error))) from error


@contextmanager
def _replacing(target: Path, card: ModelCard) -> Iterator[None]:
    """Move an installed model of the same name away; it comes back if the block fails."""
    if not target.exists():
        yield
        return
    installed = _sha256_of(target)
    if installed is not None and installed != card.sha256:
        raise FlomoError(
            f"There is another model {card.name} on this computer; remove it first with: "
            f"flomo models remove {card.name}."
        )
    if promoted_for(card.name) is not None and installed is not None:
        raise FlomoError(f"{card.name} is already in use, so it was not replaced.")
    moved = target.with_name(f".flomo-{secrets.token_hex(6)}")
    target.rename(moved)
    try:
        yield
    except BaseException:
        moved.rename(target)
        raise
    shutil.rmtree(moved, ignore_errors=True)


def _remove_leftovers() -> None:
    """Remove what killed processes left behind; the caller holds the lock."""
    for pattern in (".flomo-*", ".removed-*"):
        for path in tuned_folder().glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)


def _sha256_of(folder: Path) -> str | None:
    """Return the hash of the weights of a model; None if it is damaged."""
    try:
        return loading.verified_card(folder).sha256
    except FlomoError:
        return None


def _copy(source: Path, target: Path) -> None:
    for name in read_card(source / CARD_FILE).files:
        if name != GRAPH_FILE or (source / name).is_file():  # without it PyTorch is used
            shutil.copyfile(source / name, target / name)
    if (source / GATE_FOLDER).is_dir():
        (target / GATE_FOLDER).mkdir()
        for path in sorted((source / GATE_FOLDER).iterdir()):
            if path.is_file() and path.suffix in _GATE_FILES:
                shutil.copyfile(path, target / GATE_FOLDER / path.name)
