"""``flomo measure``: measure labels of any origin, without a network."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from napari_flomo import __version__
from napari_flomo.commands.report import print_json
from napari_flomo.commands.study import add_study, read_study

if TYPE_CHECKING:
    from napari_flomo.measures import StudyMeasures, Ventricle

EPILOG = """examples:
  flomo measure labels.nii.gz
  flomo measure ed.nii.gz es.nii.gz --height 178 --weight 74
  flomo measure cine_labels.nrrd --ed 0 --es 11 --json
  flomo measure theirs.nii.gz --codes "1=left ventricle,2=myocardium,3=right ventricle"
"""


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
    add_study(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure the labels and print the result."""
    study = read_study(args)
    measured = study.measures
    meanings = {label.code: label.name for label in study.names if label.code}
    if args.json:
        report = {
            "flomo": __version__,
            "labels": study.files,
            "codes": meanings,
            **measured.to_dict(),
        }
        print_json(report)
    else:
        codes = ", ".join(f"{code} {name}" for code, name in meanings.items())
        moving = len(study.labels) > 1 or study.labels[0].n_frames > 1
        flags = [flag.line(first=0, moving=moving) for flag in measured.flags]
        flags = ["Labels to check:", *flags] if flags else []
        notes = [note.line(first=0) for note in measured.notes]
        note = measured.heart_rate.note
        how = [*measured.conventions.differences(), *notes, *([note] if note else [])]
        print("\n".join([f"Codes: {codes}", *_lines(measured), *how, *flags]))
    return 0


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
            if one.frame == measured.structures[0].frame
        ]
    rate = measured.heart_rate
    if rate.per_minute is not None and any(measured.cardiac_output.values()):
        lines.append(f"  heart rate: {rate.per_minute:.0f} per minute ({rate.source})")
        lines += [
            f"  {side} cardiac output: {output:.1f} l/min"
            for side, output in measured.cardiac_output.items()
            if output
        ]
    lines += [f"  wall, {name}: {wall.mean_mm:.1f} mm" for name, wall in measured.wall.items()]
    if measured.body_surface_m2 is not None:
        lines.append(f"Per m2 of body surface ({measured.body_surface_m2:.2f} m2, Mosteller):")
        lines += [
            f"  {name.partition('_per_')[0].replace('_', ' ')}: {value:.1f}"
            for name, value in measured.indexed.items()
            if value is not None
        ]
    return lines


def _ventricle(name: str, ventricle: Ventricle | None) -> list[str]:
    if ventricle is None or not ventricle.edv_ml:  # not labelled
        return []
    known = [
        f"{short} {value:.1f} {unit}"
        for short, value, unit in ventricle.rows()
        if value is not None
    ]
    return [f"  {name}: {', '.join(known)}"] if known else []
