"""``flomo doctor``: check the installation."""

from __future__ import annotations

import argparse
from typing import Any

from napari_flomo.commands.report import print_json


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo doctor``."""
    parser = subparsers.add_parser(
        "doctor",
        help="check versions, device, models and cache",
        description="Check versions, device, models and cache, and explain how to fix problems. "
        "The exit code is 0 if segmentation would work.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 0 if segmentation would work, else 2."""
    from napari_flomo.commands.examination import examine

    findings = examine()
    if args.json:
        print_json(findings)
    else:
        print("\n".join(_lines(findings)))
    return 0 if findings["can_segment"] else 2


def _lines(findings: dict[str, Any]) -> list[str]:
    """Return the findings as lines of text."""
    computer, torch, cache = findings["computer"], findings["torch"], findings["cache"]
    lines = ["versions"]
    lines += [f"  {name}: {version or 'missing'}" for name, version in findings["versions"].items()]
    lines += [
        "computer",
        f"  system: {computer['system']}",
        f"  cores: {computer['cores']}",
        f"  vector units: {' '.join(computer['vector_units']) or 'unknown'}",
    ]
    if torch:
        lines += [f"  torch: {torch['threads']} threads, {torch['capability']}"]
        lines += [f"  GPU: {gpu}" for gpu in torch["gpus"]] or ["  GPU: none that torch can use"]
        lines += [f"  device used: {torch['device']}"]
    lines += _engine_lines(findings["engines"])
    lines += ["models"]
    for model in findings["models"]:
        state = "verified" if model["verified"] else "NOT usable"
        lines.append(f"  {model['name']}: {state} ({model['folder']})")
    if not findings["models"]:
        lines.append("  none")
    if cache["folder"]:
        lines += ["cache", f"  folder: {cache['folder']}", f"  free: {cache['free_gb']:.1f} GB"]
    lines += _extra_lines(findings["extras"], findings["megabytes"])
    lines += [f"problem: {problem}" for problem in findings["problems"]]
    state = "ready to segment" if findings["can_segment"] else "segmentation would not work"
    return [*lines, f"=> {state}"]


def _engine_lines(engines: dict[str, Any] | None) -> list[str]:
    """Return the lines about engines."""
    if not engines:
        return []
    return ["engines", f"  usable: {', '.join(engines['usable'])}"]


def _extra_lines(extras: dict[str, bool], megabytes: dict[str, int]) -> list[str]:
    """Return the lines about extras."""
    lines = [f"extras, and what they add to the {megabytes['base']} MB of the base"]
    lines += [
        f"  {name}: {'installed, ' if found else 'not installed, about '}{megabytes[name]} MB"
        for name, found in extras.items()
    ]
    if not extras["torch"]:
        lines += ["  (with PyTorch for the CPU; its CUDA build takes several GB)"]
    return lines
