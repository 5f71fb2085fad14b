"""``flomo export``: export a model for another runtime."""

from __future__ import annotations

import argparse

from napari_flomo.commands.options import model_folder

EPILOG = """examples:
  flomo export flomo-b0-acdc --format onnx --out flomo-b0-acdc-onnx
  flomo export my_model_folder --format openvino --out graph --size 256 320
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo export``."""
    parser = subparsers.add_parser(
        "export",
        help="write a model as a graph for ONNX Runtime or OpenVINO",
        description="Export a model as a graph for another runtime, with a description of its "
        "preprocessing. The files are compared with the network before the folder is created.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="name or folder of a model")
    parser.add_argument("--format", choices=("onnx", "openvino"), required=True, dest="form")
    parser.add_argument("--out", metavar="DIR", required=True, help="new folder to write")
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("ROWS", "COLUMNS"),
        help="size of the images, for a model that accepts any (multiples of 16)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the folder and print its path."""
    from napari_flomo.segmentation.engines import export_model

    folder = model_folder(args.model, args.quiet)
    graph = export_model(folder, args.out, args.form, None if args.size is None else (*args.size,))
    if not args.quiet:
        print(f"Wrote {graph}, with its preprocessing and postprocessing in preprocessing.json")
    return 0
