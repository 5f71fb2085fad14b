"""Hooks of the documentation site: pages that are made from the source, and its addresses.

MkDocs calls the functions ``on_...``. The API reference has one page for each face of a package
(a module with ``__all__``), the page of commands holds what ``flomo ... --help`` prints, and
CHANGELOG.md and others at the top of the repository become pages with their links adapted.
"""

from __future__ import annotations

import argparse
import ast
import logging
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.hooks.site")
ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"napari_flomo": ROOT, "flomo_training": ROOT / "training"}
PLAIN_MODULES = ("napari_flomo.errors",)
"""Public modules that are not packages, so all their names are public."""
ICON = ROOT / "slicer_extension" / "FLoMoSegmentation.png"
TOP_LEVEL = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
WIDTH = "88"
LATER_IN_SEARCH = "---\nsearch:\n  boost: 0.2\n---\n\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the addresses from the project's metadata; draw diagrams."""
    from pymdownx.superfences import fence_code_format

    urls = _urls()
    config.site_url = urls.get("Documentation", config.site_url)
    config.repo_url = urls.get("Repository", config.repo_url)
    if config.repo_url:
        config.repo_name = config.repo_url.removeprefix("https://github.com/").rstrip("/")
    mermaid = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [mermaid]}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the source."""
    from mkdocs.structure.files import File

    pages = {name: _top_level(ROOT / path) for name, path in TOP_LEVEL.items()}
    pages["licence.md"] = f"# Licence\n\n```text\n{(ROOT / 'LICENSE').read_text()}```\n"
    pages["commands.md"] = _commands()
    modules = dict(faces())
    pages["api/index.md"] = _api_index(modules)
    pages |= {api_page(module): _api(module, names) for module, names in modules.items()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "icon.png", abs_src_path=str(ICON)))
    return files


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Warn, which a strict build does not allow, if a public name is not on its module's page."""
    for module, names in faces():
        if page.file.src_uri == api_page(module):
            missing = [
                name for name in names or () if f'id="{_documented(module, name)}"' not in html
            ]
            if missing:
                LOG.warning("%s does not document %s", page.file.src_uri, ", ".join(missing))
    return html


def faces() -> Iterator[tuple[str, list[str] | None]]:
    """Yield each public module with its public names; None where all are."""
    for package, root in SOURCES.items():
        for path in sorted((root / package).rglob("__init__.py")):
            names = _exported(path)
            if names:
                yield ".".join(path.parent.relative_to(root).parts), names
    for module in PLAIN_MODULES:
        yield module, None


def api_page(module: str) -> str:
    """Return the path of a module's page."""
    return f"api/{module.removeprefix('napari_flomo.')}.md"


def _exported(path: Path) -> list[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _api(module: str, names: list[str] | None) -> str:
    """Return the page of a module: its description, its public names, and public submodules."""
    text = f"{LATER_IN_SEARCH}# {module}\n\n::: {module}\n"
    if names is None:
        return text
    apart = [name for name in names if _is_submodule(module, name)]
    members = ", ".join(name for name in names if name not in apart)
    text += f"    options:\n      members: [{members}]\n"
    for name in apart:
        text += (
            f"\n::: {_documented(module, name)}\n    options:\n      show_root_heading: true\n"
            "      show_root_full_path: false\n      show_root_toc_entry: true\n"
        )
    return text


def _documented(module: str, name: str) -> str:
    """Return the path of a public name; a function may hide the submodule that defines it."""
    if not _is_submodule(module, name):
        return f"{module}.{name}"
    tree = _tree(f"{module}.{name}")
    same = any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)
    return f"{module}.{name}.{name}" if same else f"{module}.{name}"


def _is_submodule(module: str, name: str) -> bool:
    return _source(f"{module}.{name}").exists()


def _api_index(modules: dict[str, Any]) -> str:
    rows = [f"| [`{name}`]({api_page(name)[4:]}) | {_summary(name)} |" for name in sorted(modules)]
    text = (
        "# Python API\n\nEach page lists the public names of one package: those of its"
        " `__all__`. Start with [five minutes in Python](../start/python.md); how the packages"
        " belong together is described in [architecture](../architecture.md).\n\n"
    )
    return text + "| package | purpose |\n|---|---|\n" + "\n".join(rows) + "\n"


def _summary(module: str) -> str:
    return " ".join((ast.get_docstring(_tree(module)) or "").split("\n\n")[0].split())


def _tree(module: str) -> ast.Module:
    return ast.parse(_source(module).read_text(encoding="utf-8"))


def _source(module: str) -> Path:
    parts = module.split(".")
    path = SOURCES[parts[0]].joinpath(*parts)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _commands() -> str:
    """Return a page with the help of every command."""
    os.environ |= {"COLUMNS": WIDTH, "NO_COLOR": "1"}
    sys.path[:0] = [str(root) for root in SOURCES.values()]
    from napari_flomo.cli import build_parser

    parser = build_parser()
    parts = ["# Commands", "What `flomo COMMAND --help` prints."]
    for name, command in [("", parser), *_subcommands(parser)]:
        parts += [f"## flomo{name}", f"```text\n{command.format_help().rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _subcommands(
    parser: argparse.ArgumentParser, path: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield f"{path} {name}", command
                yield from _subcommands(command, f"{path} {name}")


def _top_level(path: Path) -> str:
    """Return a page of the repository's top folder with links that work on the site."""

    def adapted(link: re.Match[str]) -> str:
        target, anchor = link.group(1), link.group(2)
        page = next((page for page, source in TOP_LEVEL.items() if source == target), None)
        if target.startswith("docs/"):
            page = target.removeprefix("docs/")
        return f"]({page or _urls()['Repository'] + '/blob/main/' + target}{anchor})"

    text = path.read_text(encoding="utf-8")
    return re.sub(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*|)\)", adapted, text)


def _urls() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {})
