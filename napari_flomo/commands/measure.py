"""``flomo measure``: measure labels of any origin, without a network."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from napari_flomo import DEFAULT_MODEL, __version__
from napari_flomo.commands.options import add_slice_axis, model_folder
from napari_flomo.commands.report import print_json
from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_flomo.measures import HeartPhases, StudyMeasures, Ventricle
    from napari_flomo.models import Label
    from napari_flomo.volumes import Volume

EPILOG = """examples:
  flomo measure labels.nii.gz
  flomo measure ed.nii.gz es.nii.gz --height 178 --weight 74
  flomo measure cine_labels.nrrd --ed 0 --es 11 --json
  flomo measure theirs.nii.gz --codes "1=left ventricle,2=myocardium,3=right ventricle"
"""

_CODE = re.compile(r"\s*(\d+)\s*=\s*(.+?)\s*")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo measure``."""
    parser = subparsers.add_parser(
        "measure",
        help="measure the heart in labels",
        description="Measure labels of any origin: volumes, ejection fraction, mass, thickness of "
        "the wall, and flags for what contradicts anatomy. No network is needed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("labels", metavar="LABELS", help="label image of a cine or of one frame")
    parser.add_argument(
        "systole", metavar="ES", nargs="?", help="labels at end systole; the first are end diastole"
    )
    codes = parser.add_mutually_exclusive_group()
    codes.add_argument(
        "--codes",
        metavar="CODE=NAME,...",
        type=_codes,
        help="what the codes mean: left ventricle, right ventricle, myocardium, or any other name",
    )
    codes.add_argument(
        "--model",
        metavar="NAME|FOLDER",
        help=f"whose codes the labels have (default: {DEFAULT_MODEL}, or the tuned model that was "
        "promoted for it)",
    )
    parser.add_argument("--ed", metavar="FRAME", type=int, help="end diastole, counted from 0")
    parser.add_argument("--es", metavar="FRAME", type=int, help="end systole, counted from 0")
    parser.add_argument("--height", metavar="CM", type=float, help="for values per body surface")
    parser.add_argument("--weight", metavar="KG", type=float, help="for values per body surface")
    add_slice_axis(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure the labels and print the result."""
    from napari_flomo.measures import measure_study
    from napari_flomo.models import load_card
    from napari_flomo.volumes import read

    files = [path for path in (args.labels, args.systole) if path is not None]
    images = [read(path, slice_axis=args.slice_axis) for path in files]
    for note in dict.fromkeys(note for image in images for note in image.notes):
        print(f"Note: {note}", file=sys.stderr)
    names = args.codes or load_card(model_folder(args.model, quiet=True)).labels
    measured = measure_study(
        images[0],
        names,
        systole=images[1] if len(images) == 2 else None,
        phases=_phases(args, images, names),
        height_cm=args.height,
        weight_kg=args.weight,
    )
    meanings = {label.code: label.name for label in names if label.code}
    if args.json:
        report = {"flomo": __version__, "labels": files, "codes": meanings, **measured.to_dict()}
        print_json(report)
    else:
        codes = ", ".join(f"{code} {name}" for code, name in meanings.items())
        print("\n".join([f"Codes: {codes}", *_lines(measured)]))
    return 0


def _codes(text: str) -> list[Label]:
    """Parse CODE=NAME,CODE=NAME."""
    from napari_flomo.models import Label
    from napari_flomo.schema import SchemaError

    parts = [_CODE.fullmatch(part) for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f'{text!r} must look like "1=left ventricle,2=myocardium"')
    try:
        return [Label(int(part[1]), part[2], "#808080") for part in parts if part]
    except SchemaError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _phases(
    args: argparse.Namespace, images: Sequence[Volume], names: Sequence[Label]
) -> HeartPhases | None:
    """Return the phases that the user gave, the other one chosen by volume; None without any."""
    if args.ed is None and args.es is None:
        return None
    from napari_flomo.measures import PHASES, HeartCodes, VoxelCounts, choose_phases

    count = images[0].n_frames
    if len(images) == 2 or count == 1:
        raise FlomoError("--ed and --es choose frames of a cine; the labels have a single frame.")
    codes = HeartCodes.of(names)
    if codes is None:
        raise FlomoError("--ed and --es need labels of a ventricle; name them with --codes.")
    counts = VoxelCounts.of(images[0], [label.code for label in names if label.code])
    phases = choose_phases(counts, codes)
    for phase, frame in zip(PHASES, (args.ed, args.es), strict=True):
        if frame is None:
            continue
        if not 0 <= frame < count:
            raise FlomoError(f"There is no frame {frame}; the cine has frames 0 to {count - 1}.")
        phases = phases.pin(phase, frame)
    return phases


def _lines(measured: StudyMeasures) -> list[str]:
    """Return the lines of the summary."""
    heart = measured.heart
    lines = []
    if heart is not None and heart.phases is not None and heart.phases.frames:
        ventricle = heart.phases.left
        lines.append(f"End diastole: frame {ventricle.ed}, end systole: frame {ventricle.es}")
    function = heart is not None and any(
        one is not None and one.edv_ml is not None for one in (heart.left, heart.right)
    )
    if heart is not None and function:
        lines += [*_ventricle("left ventricle", heart.left)]
        lines += [*_ventricle("right ventricle", heart.right)]
        if heart.mass_g is not None:
            lines.append(f"  myocardium: mass {heart.mass_g:.1f} g")
    else:
        lines += [
            f"  {one.name}: {one.voxels} voxels"
            if one.ml is None
            else f"  {one.name}: {one.ml:.1f} ml"
            for one in measured.structures
            if one.frame == 0
        ]
    lines += [f"  wall, {name}: {wall.mean_mm:.1f} mm" for name, wall in measured.wall.items()]
    if measured.body_surface_m2 is not None:
        lines.append(f"Per m2 of body surface ({measured.body_surface_m2:.2f} m2, Mosteller):")
        lines += [
            f"  {name.partition('_per_')[0].replace('_', ' ')}: {value:.1f}"
            for name, value in measured.indexed.items()
            if value is not None
        ]
    for flag in measured.flags:
        frame = f"frame {flag.frame}, " if flag.frame is not None else ""
        place = f"{frame}slice {flag.slice}: " if flag.slice is not None else ""
        lines.append(f"Check {place}{flag.text}")
    return lines


def _ventricle(name: str, ventricle: Ventricle | None) -> list[str]:
    if ventricle is None or not ventricle.edv_ml:  # not labelled
        return []
    values = (
        ("EDV", ventricle.edv_ml, "ml"),
        ("ESV", ventricle.esv_ml, "ml"),
        ("SV", ventricle.sv_ml, "ml"),
        ("EF", ventricle.ef_percent, "%"),
    )
    known = [f"{short} {value:.1f} {unit}" for short, value, unit in values if value is not None]
    return [f"  {name}: {', '.join(known)}"] if known else []
