"""Questions with several answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import qt
import slicer

if TYPE_CHECKING:
    from napari_flomo.session import Choice, Message


def ask(question: Message) -> None:
    """Ask in a dialog with a button for each choice and Cancel; call the action of the chosen one.

    The first choice is the default. In testing mode it is taken without a dialog, as
    `slicer.util.confirmOkCancelDisplay` does.
    """
    if slicer.app.testingEnabled():
        question.choices[0].action()
        return
    chosen: list[Choice] = []
    box = qt.QMessageBox(slicer.util.mainWindow())
    box.setIcon(qt.QMessageBox.Question)
    box.setText(question.text)
    for choice in question.choices:
        button = box.addButton(choice.title, qt.QMessageBox.AcceptRole)
        button.setToolTip(choice.tip)
        button.connect("clicked()", partial(chosen.append, choice))
        if choice is question.choices[0]:
            box.setDefaultButton(button)
    box.addButton(qt.QMessageBox.Cancel)
    box.exec_()
    box.deleteLater()
    for choice in chosen:
        choice.action()
