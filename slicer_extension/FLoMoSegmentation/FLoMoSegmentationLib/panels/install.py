"""The Install section: missing packages, the size of the download, Install."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from FLoMoSegmentationLib import installer

LOG_NAME = "FLoMo-install.log"


class InstallPanel:
    """Installs missing packages; hidden if nothing is missing.

    Parameters
    ----------
    ui
        Widgets of ``Install.ui`` by name.
    done
        Called when all packages are installed.
    install, missing
        As in `installer`.
    """

    def __init__(
        self,
        ui: Any,
        done: Callable[[], None],
        install: Callable[..., None] = installer.install,
        missing: Callable[[], list[str]] = installer.missing,
    ) -> None:
        self.ui = ui
        self._done = done
        self._install = install
        self._missing = missing
        ui.installButton.connect("clicked(bool)", self.on_install)
        ui.wheelFolder.connect("currentPathChanged(QString)", self.refresh)
        self.refresh()

    @property
    def folder(self) -> Path | None:
        """The folder of wheels; None for the package index."""
        text = str(self.ui.wheelFolder.currentPath)
        return Path(text) if text.strip(" .") else None

    def refresh(self, _path: str = "") -> None:
        """Show what is missing; hide the section if nothing is."""
        missing = self._missing()
        self.ui.installBox.setVisible(bool(missing))
        self.ui.installLog.setVisible(False)
        old = installer.too_old()
        self.ui.installButton.setEnabled(not old)
        self.ui.installLine.setText(old or installer.describe_download(missing, self.folder))

    def on_install(self, _checked: bool = False) -> None:
        """Install what is missing; show an error and the log if that fails."""
        log = installer.LogFile(Path(str(slicer.app.temporaryPath)) / LOG_NAME)
        self.ui.installButton.setEnabled(False)
        problem = ""
        try:
            self._install(self.folder, log=log)
        except installer.InstallError as error:
            problem = str(error)
        finally:
            self.ui.installButton.setEnabled(True)
        self.refresh()
        if problem:
            self.ui.installLine.setText(problem)
            self.ui.installButton.setText("Try again")
            self.ui.installLog.setVisible(True)
            self.ui.installLog.setPlainText("\n".join(log.lines))
        elif not self._missing():
            self._done()
