"""Tuned models on this computer: where they lie, how a finished candidate gets there and leaves.

``tuned/<name>/`` in the user's data folder holds ``card.json``, ``model.safetensors`` and
``gate/``, what the gate found. Which of them is in use is written in ``tuned/in_use.json``, see
`napari_flomo.models.promotion`.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike, atomic_folder
from napari_flomo.models import cache, shelf
from napari_flomo.models.card import ModelCard, read_card
from napari_flomo.models.index import read_index
from napari_flomo.models.shelf import CARD_FILE, WEIGHTS_FILE
from napari_flomo.paths import data_folder

GATE_FOLDER = "gate"
REPORT_FILE = "report.json"

_GATE_FILES = {".json", ".md", ".png"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATIENCE = 30.0


def tuned_folder() -> Path:
    """Return the folder of all tuned models; it need not be there."""
    return data_folder() / "tuned"


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


def read_sound(name: str) -> ModelCard:
    """Return the card of a tuned model after all its files were compared.

    Raises
    ------
    FlomoError
        If there is no such model, or it is damaged.
    """
    folder = find(name)
    if folder is None:
        raise FlomoError(
            f"There is no tuned model {name} on this computer; flomo models list shows what there "
            "is."
        )
    card = check_folder(folder)
    if card.name != name:
        raise FlomoError(
            f"The folder of the tuned model {name} holds {card.name}; remove it and train again."
        )
    return card


def check_folder(folder: Path) -> ModelCard:
    """Return the card of a model folder if its weights are those that the card describes.

    Raises
    ------
    FlomoError
        If a file is missing or damaged.
    """
    card = read_card(folder / CARD_FILE)
    if cache.fingerprint(folder / WEIGHTS_FILE).sha256 != card.sha256:
        raise FlomoError(
            f"The weights of {card.name} do not have the SHA-256 that its card states; train it "
            "again, or take another model."
        )
    return card


def install_candidate(folder: PathLike) -> str:
    """Copy a finished candidate to the tuned models of this computer: all of it or nothing.

    It is a candidate until it is promoted. To install the same weights again takes over a newer
    report of the gate.

    Parameters
    ----------
    folder
        With ``card.json``, ``model.safetensors`` and, if it was judged, ``gate/``; it stays as it
        is.

    Returns
    -------
    str
        The name by which the model can be asked for.

    Raises
    ------
    FlomoError
        If the model is damaged, has no parent, or its name means another model.
    """
    source = shelf.local_folder(str(folder))
    card = check_folder(source)
    if card.parent is None:
        raise FlomoError(f"{card.name} has no parent, so it is no candidate for its place.")
    if card.name in shelf.available() or card.name in read_index():
        raise FlomoError(
            f"{card.name} is the name of another model; give the candidate a name of its own."
        )
    with locked():
        target = tuned_folder() / card.name
        if target.absolute() == source.absolute():
            return card.name
        _sweep()
        with _free(target, card):
            try:
                with atomic_folder(target) as new:
                    _copy(source, new)
                    check_folder(new)  # what lies there is what was meant, whatever the disk did
            except OSError as error:
                reason = error.strerror or error
                raise FlomoError(f"{card.name} could not be copied: {reason}.") from error
    return card.name


def delete(name: str) -> int:
    """Delete a tuned model that is not in use and return the bytes that this freed.

    Raises
    ------
    FlomoError
        If it is in use, or cannot be deleted.
    """
    from napari_flomo.models import promotion

    with locked():
        folder = tuned_folder() / name
        base = promotion.promoted_for(name)
        if base is not None:
            raise FlomoError(
                f"{name} was promoted to stand for {base}, so it stays; go back first with: "
                f"flomo models rollback {base}."
            )
        freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        cache.delete(folder)
    return freed


@contextmanager
def locked() -> Iterator[None]:
    """Let one program at a time change the tuned models; made for short work.

    Raises
    ------
    FlomoError
        If another program is at it for long, or the folder cannot be written.
    """
    folder = tuned_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=_PATIENCE):
            yield
    except Timeout as error:
        raise FlomoError(
            "Another program changes the tuned models just now; try again when it is done."
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(f"The tuned models in {folder} cannot be changed: {reason}.") from error


@contextmanager
def _free(target: Path, card: ModelCard) -> Iterator[None]:
    """Make room for a candidate; what lay there comes back when the block fails."""
    if not target.exists():
        yield
        return
    from napari_flomo.models import promotion

    there = _sha256_of(target)
    if there is not None and there != card.sha256:
        raise FlomoError(
            f"There is another model {card.name} on this computer; remove it first with: "
            f"flomo models remove {card.name}."
        )
    if promotion.promoted_for(card.name) is not None and there is not None:
        raise FlomoError(f"{card.name} is in use already, so it stays as it is.")
    aside = target.with_name(f".flomo-{secrets.token_hex(6)}")
    target.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sweep() -> None:
    """Remove what programs that were killed left behind; whoever holds the lock is alone here."""
    for pattern in (".flomo-*", ".removed-*"):
        for path in tuned_folder().glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)


def _sha256_of(folder: Path) -> str | None:
    """Return the hash of the weights of a whole model; None for a damaged one."""
    try:
        return check_folder(folder).sha256
    except FlomoError:
        return None


def _copy(source: Path, target: Path) -> None:
    for name in (CARD_FILE, WEIGHTS_FILE):
        shutil.copyfile(source / name, target / name)
    if (source / GATE_FOLDER).is_dir():
        (target / GATE_FOLDER).mkdir()
        for path in sorted((source / GATE_FOLDER).iterdir()):
            if path.is_file() and path.suffix in _GATE_FILES:
                shutil.copyfile(path, target / GATE_FOLDER / path.name)
