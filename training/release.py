"""Prepare a release; everything but the tag, which publishes it.

    python training/release.py 0.2.0        # version, changelog, wheel and sdist, their checks
    python training/release.py --check TAG  # the workflow's check of a tag
    python training/release.py --notes      # the changelog's section of this version

Needs the packages build and twine. The changes of files are left to be looked at and committed.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r"\d+\.\d+\.\d+(?:rc\d+)?")
PLACES = {
    "napari_flomo/__init__.py": r'(?m)^(__version__ = ")([^"]+)(")$',
    "CITATION.cff": r"(?m)^(version: )(\S+)()$",
    ".github/conda-forge/recipe.yaml": r'(?m)^(  version: ")([^"]+)(")$',
}
"""Files that state the version, and where; the first is what the package says of itself."""

PARTS = (
    ("weights of the bundled model", r"napari_flomo/models/bundled/[^/]+/model\.safetensors"),
    ("its graph, which needs no PyTorch", r"napari_flomo/models/bundled/[^/]+/model\.onnx"),
    ("its reference images, for the gate", r"napari_flomo/models/bundled/[^/]+/reference/"),
    ("sample images", r"napari_flomo/samples/"),
    ("code and everything else", r""),
)
"""Parts of the wheel by the beginning of their paths; the first that fits counts."""

SIZES = re.compile(r"(<!-- sizes -->\n).*?(<!-- end of sizes -->)", re.DOTALL)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("version", nargs="?", help="new version, such as 0.2.0")
    what.add_argument("--check", metavar="TAG", help="fail unless the tag is that of this version")
    what.add_argument("--notes", action="store_true", help="print the changes of this version")
    options = parser.parse_args(arguments)
    try:
        if options.check is not None:
            check_tag(root, options.check)
        elif options.notes:
            print(section(_changelog(root), current_version(root)))
        else:
            release(root, options.version)
    except ValueError as error:
        print(f"release: {error}", file=sys.stderr)
        return 2
    return 0


def release(root: Path, version: str) -> None:
    """Set the version, move the changelog, build, check, and say what comes next."""
    if _git(root, "status", "--porcelain"):
        raise ValueError("commit or stash your changes first")
    today = datetime.date.today().isoformat()
    text = moved(_changelog(root), version, today)
    set_version(root, version, today)
    (root / "CHANGELOG.md").write_text(text, encoding="utf-8")
    wheel = build(root)
    table = sizes(wheel)
    write_sizes(root / "docs" / "releases.md", table)
    check_tag(root, f"v{version}")
    print(
        f"{table}\nNext: try it with python training/try_wheel.py {wheel.relative_to(root)}; then\n"
        f"  git commit -am 'Version {version}' && git tag v{version}\n"
        f"  git push origin main v{version}    # the tag publishes it"
    )


def write_sizes(page: Path, table: str) -> None:
    """Put the table of sizes between its marks."""
    text, count = SIZES.subn(
        lambda match: f"{match[1]}{table}{match[2]}", page.read_text(encoding="utf-8")
    )
    if count != 1:
        raise ValueError(f"{page.name} has no place for the sizes of the wheel")
    page.write_text(text, encoding="utf-8")


def current_version(root: Path) -> str:
    """Return the version of the package.

    Raises
    ------
    ValueError
        If the files of `PLACES` do not agree.
    """
    found = {}
    for name, pattern in PLACES.items():
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"))
        if match is None:
            raise ValueError(f"{name} states no version")
        found[name] = match[2]
    if len(set(found.values())) > 1:
        raise ValueError(f"the versions differ: {found}")
    return next(iter(found.values()))


def set_version(root: Path, version: str, date: str) -> None:
    """Write the version into every file that states it, and the date into the citation."""
    for name, pattern in PLACES.items():
        path = root / name
        text = path.read_text(encoding="utf-8")
        text = re.sub(pattern, rf"\g<1>{version}\g<3>", text)
        if name == "CITATION.cff":
            text = re.sub(r"(?m)^date-released: .*\n", "", text)
            text = re.sub(r"(?m)^(version: .*)$", rf"\g<1>\ndate-released: {date}", text, count=1)
        path.write_text(text, encoding="utf-8")


def moved(changelog: str, version: str, date: str) -> str:
    """Return the changelog with everything unreleased in the section of a new version.

    Raises
    ------
    ValueError
        If the version is not one, is there already, or nothing is unreleased.
    """
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version} is not a version; write for example 0.2.0")
    if re.search(rf"(?m)^## {re.escape(version)}\b", changelog):
        raise ValueError(f"the changelog has a section for {version} already")
    if not section(changelog, "Unreleased"):
        raise ValueError("nothing is unreleased")
    return changelog.replace("## Unreleased\n", f"## Unreleased\n\n## {version} ({date})\n", 1)


def section(changelog: str, version: str) -> str:
    """Return the changes of a version; empty if there are none."""
    match = re.search(rf"(?ms)^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog)
    return match[1].strip() if match else ""


def check_tag(root: Path, tag: str) -> None:
    """Raise ValueError unless the tag is that of this version, and its changes are written."""
    version = current_version(root)
    if tag != f"v{version}":
        raise ValueError(f"the tag {tag} is not v{version}, the version of the package")
    if not section(_changelog(root), version):
        raise ValueError(f"the changelog has no section for {version}")


def build(root: Path) -> Path:
    """Build sdist and wheel, the wheel from the sdist, check them, and return the wheel."""
    for folder in ("build", "dist"):
        shutil.rmtree(root / folder, ignore_errors=True)
    command = [sys.executable, "-m", "build"]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    files = sorted((root / "dist").iterdir())
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)]
    subprocess.run(command, cwd=root, check=True)
    return next(path for path in files if path.suffix == ".whl")


def sizes(wheel: Path) -> str:
    """Return a table of the parts of a wheel with their compressed sizes."""
    totals = dict.fromkeys((name for name, _ in PARTS), 0)
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            part = next(name for name, pattern in PARTS if re.match(pattern, info.filename))
            totals[part] += info.compress_size
    rows = [f"| {name} | {size / 1e6:.1f} MB |" for name, size in totals.items()]
    rows.append(f"| **the wheel** | **{wheel.stat().st_size / 1e6:.1f} MB** |")
    return "| part | size |\n|---|---|\n" + "\n".join(rows) + "\n"


def _changelog(root: Path) -> str:
    return (root / "CHANGELOG.md").read_text(encoding="utf-8")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
