"""Convert weights of the official Keras code of FLoMo-Net to a model.

Example: ``python training/import_reference.py weights.npz -o my_model --labels RV,MYO,LV``
"""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from napari_flomo.errors import FlomoError
from napari_flomo.models import IntensityRule, Label, ModelCard, Preprocessing
from napari_flomo.models.loading import build_network, save_model

WIDTHS = {16: "flomo-b0", 32: "flomo-b1", 64: "flomo-b2"}
HEAD = "head.kernel"

COLOURS = ("#3b82f6", "#22c55e", "#ef4444", "#eab308", "#a855f7", "#06b6d4", "#f97316", "#ec4899")


def import_reference(
    weights: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    name: str,
    structures: Sequence[str],
    licence: str,
    training_data: str,
    pixel_mm: float | None = None,
    crop: int = 224,
    input_kind: Literal["stack", "photo"] = "stack",
    percentiles: tuple[float, float] = (0.0, 100.0),
) -> ModelCard:
    """Convert the official arrays to a model folder in reference form, in float32.

    All weights stay bit for bit the same. Only the division of intensities by 255 is left out
    (``unit_input``), because preprocessing scales the input of every network to 0 to 1.

    Parameters
    ----------
    weights
        ``.npz`` file, see `napari_flomo.networks.load_reference_weights`.
    folder
        Destination.
    name, licence, training_data
        Fields of the card.
    structures
        Names in the order of the network's channels. With one name less than there are channels,
        the first channel is the background (softmax); else there is no background (sigmoid).
    pixel_mm, crop, percentiles
        Preprocessing that the weights were trained with; the crop is a multiple of 16, at most 256.
    input_kind
        ``"stack"`` or ``"photo"``.

    Raises
    ------
    FlomoError
        If the file does not hold such weights (the message names the array), or the arguments do
        not fit them.
    """
    from napari_flomo.networks import load_reference_weights

    width, channels = _head(weights)
    if channels not in (len(structures), len(structures) + 1):
        raise FlomoError(
            f"The weights have {channels} output channel(s), but {len(structures)} label(s) were "
            f"named; name {channels - 1} (the first channel is the background) or {channels}."
        )
    labels = [Label(0, "background", "#000000")]
    labels += [
        Label(code, structure, COLOURS[(code - 1) % len(COLOURS)])
        for code, structure in enumerate(structures, start=1)
    ]
    card = ModelCard(
        name=name,
        network=WIDTHS[width],
        network_arguments={"reference": True, "unit_input": True},
        in_channels=3,
        input_kind=input_kind,
        labels=tuple(labels),
        preprocessing=Preprocessing(pixel_mm, crop, IntensityRule("percentile", *percentiles)),
        activation="sigmoid" if channels == len(structures) else "softmax",
        licence=licence,
        training_data=training_data,
        protocol="Weights of the official code, imported unchanged; not evaluated.",
    )
    network = build_network(card)
    try:
        load_reference_weights(network, weights)
    except ValueError as error:
        raise FlomoError(
            f"{os.fspath(weights)} are not weights of {card.network}: {error}."
        ) from error
    return save_model(folder, network, card, dtype="float32")


def _head(weights: str | os.PathLike[str]) -> tuple[int, int]:
    """Return base width and number of output channels, from the shape of the last layer."""
    import numpy as np

    path = os.fspath(weights)
    try:
        with np.load(path, allow_pickle=False) as archive:
            shape = archive[HEAD].shape
    except FileNotFoundError as error:
        raise FlomoError(f"There is no file {path}; check the path.") from error
    except KeyError as error:
        raise FlomoError(
            f"{path} does not hold weights of the official code: it has no array {HEAD}."
        ) from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise FlomoError(
            f"{path} is not a NumPy archive (.npz) of plain arrays; export the weights again."
        ) from error
    if len(shape) != 4 or shape[2] not in WIDTHS:
        raise FlomoError(
            f"{path} does not hold a known variant of FLoMo-Net: {HEAD} has the shape {shape}."
        )
    return int(shape[2]), int(shape[3])


def main(argv: Sequence[str] | None = None) -> int:
    """Convert the weights, and print where the model is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", metavar="WEIGHTS.npz", help="arrays of the official Keras code")
    parser.add_argument("-o", "--output", required=True, type=Path, help="destination folder")
    parser.add_argument(
        "--labels",
        metavar="NAME,NAME",
        required=True,
        help="structures in the order of the output channels, without the background",
    )
    parser.add_argument("--name", help="name of the model (default: name of the folder)")
    parser.add_argument("--licence", default="unknown", help="licence of the weights")
    parser.add_argument("--training-data", default="unknown", help="what they were trained on")
    parser.add_argument("--photo", action="store_true", help="for photos instead of slices")
    parser.add_argument("--pixel-mm", type=float, help="pixel size of the training images")
    parser.add_argument(
        "--crop",
        type=int,
        default=224,
        help="side of the field of view, a multiple of 16 up to 256 (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    try:
        card = import_reference(
            args.weights,
            args.output,
            name=args.name or args.output.absolute().name,
            structures=[name.strip() for name in args.labels.split(",")],
            licence=args.licence,
            training_data=args.training_data,
            pixel_mm=args.pixel_mm,
            crop=args.crop,
            input_kind="photo" if args.photo else "stack",
        )
    except FlomoError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Wrote {card.name} ({card.network}, {card.num_classes} channels) to {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
