"""What the panels share: their host, and reporting errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from FLoMoSegmentationLib.logic import Logic
    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.session import Message, MessageBoard


class PanelHost(Protocol):
    """The module's widget as the panels see it."""

    logic: Logic
    current: SceneImage | None
    board: MessageBoard

    @property
    def chosen_model(self) -> str:
        """Name or folder of the chosen model."""

    def chosen_image(self) -> Any:
        """Return the node of the chosen image; None without one."""

    def parameter_node(self) -> Any:
        """Return the module's parameter node."""

    def ask(self, question: Message) -> None:
        """Ask a question; call the action of its choice if the user agrees."""

    def say(self, text: str, level: str = "info") -> None:
        """Show one sentence at the top."""

    def acted(self) -> None:
        """Report an action of the user, which ends passing messages."""

    def show_current(self) -> None:
        """Show the chosen image with its results."""

    def poll_often(self) -> None:
        """Handle reports of the child process more often while something runs."""


class Panel:
    """A section of the module.

    Parameters
    ----------
    ui
        Widgets of the section's .ui file by name.
    host
        The module's widget.
    """

    def __init__(self, ui: Any, host: PanelHost) -> None:
        self.ui = ui
        self.host = host

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Call a function and return its result; show a `FlomoError` and return None."""
        try:
            return action()
        except FlomoError as error:
            self.host.say(str(error), "warning")
            return None
