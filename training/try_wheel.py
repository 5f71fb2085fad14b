"""Install a wheel in a fresh environment, and use it from there as a new user does.

    python training/try_wheel.py dist/napari_flomo-0.2.0-py3-none-any.whl

Segments the sample, validates the manifest of the napari plugin, trains a tiny model for one epoch,
and segments with it. Run it with the Python to try. With ``--environment`` it uses an environment
in which the wheel is installed already.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

EXTRAS = "train"
CHANGES = (
    (r"(?m)^epochs: .*$", "epochs: 1"),
    (r"(?m)^batch_size: .*$", "batch_size: 4"),
    (r"(?ms)^  stages:\n.*?(?=^  jitter)", "  stages:\n    - {from_epoch: 0, size: 64}\n"),
)
"""What makes a recipe of the package tiny."""


def main() -> int:
    """Try the wheel; a step that fails ends it with the output of the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--environment", type=Path, help="use this environment as it is")
    parser.add_argument("--no-training", action="store_true", help="leave PyTorch out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        environment = options.environment
        if environment is None:
            environment = folder / "environment"
            wheel = options.wheel.resolve()
            install(environment, f"{wheel}{'' if options.no_training else f'[{EXTRAS}]'}")
        try_it(environment.resolve(), options.wheel, folder, training=not options.no_training)
    return 0


def install(environment: Path, wheel: str) -> None:
    """Make an environment with the wheel and npe2."""
    venv.create(environment, with_pip=True)
    run(tool(environment, "python"), "-m", "pip", "install", "--quiet", wheel, "npe2")


def try_it(environment: Path, wheel: Path, folder: Path, *, training: bool) -> None:
    """Use the installed package in an empty folder."""
    flomo = tool(environment, "flomo")
    version = wheel.name.split("-")[1]
    said = run(flomo, "--version", cwd=folder)
    if version not in said:
        raise SystemExit(f"{said.strip()} is installed, not version {version}")
    where = "import napari_flomo, flomo_training; print(napari_flomo.__file__)"
    package = Path(run(tool(environment, "python"), "-c", where, cwd=folder).strip()).parent
    trainer = package.with_name("flomo_training")
    if environment not in package.parents:
        raise SystemExit(f"{package} was imported, which is not in the environment")
    sample = package / "samples" / "sunnybrook_ed.nii.gz"
    run(flomo, "segment", sample, "-o", "labels.nii.gz", cwd=folder)
    run(tool(environment, "npe2"), "validate", "napari-flomo", cwd=folder)
    if not training:
        return
    recipe = (trainer / "recipes" / "acdc.yaml").read_text(encoding="utf-8")
    for pattern, replacement in CHANGES:
        recipe, count = re.subn(pattern, replacement, recipe)
        if count != 1:
            raise SystemExit(f"the recipe has no {pattern}")
    (folder / "tiny.yaml").write_text(recipe, encoding="utf-8")
    (reference,) = (package / "models" / "bundled").glob("*/reference")
    data = folder / "data"
    shutil.copytree(reference, data)
    (data / "folds.json").write_text(json.dumps({"folds": folds(data)}), encoding="utf-8")
    train = ["--data", "data", "--fold", "none", "--no-report", "--accelerator", "cpu"]
    run(flomo, "train", "tiny.yaml", *train, "--out", "run", cwd=folder)
    run(flomo, "segment", sample, "--model", "run/model", "-o", "tiny.nii.gz", cwd=folder)


def folds(data: Path) -> list[list[str]]:
    """Return a fold for each patient of a data folder."""
    lines = (data / "cases.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [[patient] for patient in sorted({line.split(",")[1] for line in lines})]


def tool(environment: Path, name: str) -> Path:
    """Return a program of an environment."""
    return environment / ("Scripts" if sys.platform == "win32" else "bin") / name


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command and return what it prints."""
    print("+", *(Path(command[0]).name, *command[1:]), flush=True)
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}\nended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
