"""Export a model to a folder for other runtimes."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.models import ModelCard, load_network
from napari_flomo.segmentation.device import is_installed
from napari_flomo.segmentation.engines.agreement import check_agreement
from napari_flomo.segmentation.engines.engine import EngineError
from napari_flomo.segmentation.engines.export_notes import preprocessing_notes, readme
from napari_flomo.segmentation.engines.registry import ENGINES, INSTALL
from napari_flomo.segmentation.engines.tracing import example
from napari_flomo.segmentation.output import Output

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

FORMATS = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}
"""Export formats, and the packages that they need."""

STRIDE = 16
"""Sides of an exported graph are multiples of this, as all networks require."""

TESTED_SLICES = 3


def export_model(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    form: str,
    size: tuple[int, int] | None = None,
) -> Path:
    """Export a model as a graph for another runtime, with everything needed to use it.

    The graph maps ``image`` to ``logits``, for any number of slices of one size. Beside it are
    ``preprocessing.json`` (the steps before and after), ``example.npz`` (an image and its logits),
    ``card.json`` and a ``README.md``. The files are read back and compared with the network before
    the folder is renamed to its final name.

    Parameters
    ----------
    model
        Name or folder, as in `napari_flomo.models.locate`.
    folder
        Folder to write; must be new or empty.
    form
        One of `FORMATS`.
    size
        Rows and columns of the graph; by default those of the card's crop.

    Returns
    -------
    Path
        The graph.

    Raises
    ------
    FlomoError
        If the arguments or the installation are wrong, the folder cannot be written, or the runtime
        gives other results than the network.
    """
    _check_format(form)
    target = Path(folder)
    _check_free(target)
    network, card = load_network(model)
    chosen = _size(card, size)
    work = target.parent / f".flomo-{secrets.token_hex(6)}"
    try:
        work.mkdir(parents=True)
        graph, run = _WRITERS[form](network, card, chosen, work)
        _write_example(network, card, chosen, run, work)
        notes = preprocessing_notes(card, chosen, graph.name)
        _write_text(work / "preprocessing.json", json.dumps(notes, indent=2, ensure_ascii=False))
        _write_text(work / "card.json", json.dumps(card.to_dict(), indent=2, ensure_ascii=False))
        _write_text(work / "README.md", readme(card, chosen, graph.name))
        if target.is_dir():
            target.rmdir()  # empty; some systems do not rename onto a folder
        work.rename(target)
    except OSError as error:
        reason = reason_of(error)
        raise FlomoError(f"{target} could not be written: {reason}; choose another.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target / graph.name


def _check_format(form: str) -> None:
    if form not in FORMATS:
        raise FlomoError(f"There is no format {form!r}; choose {' or '.join(FORMATS)}.")
    missing = [module for module in FORMATS[form] if not is_installed(module)]
    if missing:
        raise FlomoError(
            f"To export to {form}, {' and '.join(missing)} must be installed; run: {INSTALL}."
        )


def _check_free(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FlomoError(f"{target} exists already; give the name of a new folder with --out.")


def _size(card: ModelCard, size: tuple[int, int] | None) -> tuple[int, int]:
    crop = card.preprocessing.crop
    if size is None and crop is None:
        raise FlomoError(
            f"{card.name} takes images of any size, but a graph has a fixed one; give it with "
            "--size ROWS COLUMNS."
        )
    if crop is not None and size not in (None, (crop, crop)):
        raise FlomoError(f"{card.name} always sees {crop} x {crop} pixels; remove --size.")
    chosen = size or (crop or 0, crop or 0)
    if crop is None and any(side % STRIDE or side < STRIDE for side in chosen):
        raise FlomoError(
            f"Rows and columns must be multiples of {STRIDE}, not {chosen[0]} and {chosen[1]}."
        )
    return chosen


def _write_onnx(
    network: nn.Module, card: ModelCard, size: tuple[int, int], folder: Path
) -> tuple[Path, Run]:
    """Write the graph; return its path and a function that runs it."""
    from napari_flomo.segmentation.engines.onnx import make_session, to_onnx

    path = folder / "model.onnx"
    path.write_bytes(to_onnx(network, card.in_channels, size))
    session = make_session(path.read_bytes(), threads=1)
    return path, lambda images: session.run(["logits"], {"image": images})[0]


def _write_openvino(
    network: nn.Module, card: ModelCard, size: tuple[int, int], folder: Path
) -> tuple[Path, Run]:
    """Write the graph and its weights; return its path and a function that runs it."""
    from napari_flomo.segmentation.engines.openvino import import_openvino, to_graph

    ov = import_openvino()
    path = folder / "model.xml"
    ov.save_model(to_graph(network, card.in_channels, size), path, compress_to_fp16=False)
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # some systems do not rename mapped files
    compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return path, lambda images: compiled({"image": images})["logits"]


_WRITERS: dict[str, Callable[..., tuple[Path, Run]]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
}


def _write_example(
    network: nn.Module, card: ModelCard, size: tuple[int, int], run: Run, folder: Path
) -> None:
    """Compare the written files with the network, and write an example slice.

    Raises
    ------
    FlomoError
        If their results differ.
    """
    from napari_flomo.segmentation.engines.pytorch import TorchEngine

    images = example(card.in_channels, size, TESTED_SLICES)
    truth = TorchEngine(ENGINES["eager"], network, "cpu")(images).logits
    for some in (slice(None), slice(1)):  # several slices, and a single one
        found = Output(np.array(run(images[some])))
        try:
            check_agreement(ENGINES["eager"], found, Output(truth[some]), card)
        except EngineError as fault:
            raise FlomoError(
                f"{card.name} was not exported: {fault} in the exported form; update PyTorch "
                "and the package of the format, or choose the other format."
            ) from fault
    np.savez(folder / "example.npz", image=images[:1], logits=truth[:1])


def _write_text(path: Path, text: str) -> None:
    path.write_text(text.rstrip() + "\n", encoding="utf-8")
