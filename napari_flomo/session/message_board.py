"""Which message a window shows, and when each message goes."""

from __future__ import annotations

from collections.abc import Callable, Collection

from napari_flomo.session.events import (
    AutosaveChanged,
    Event,
    ImageRemoved,
    LabelsChanged,
    LocksChanged,
    PhasesChanged,
    ReviewChanged,
    RunStarted,
)
from napari_flomo.session.messages import Message, Until
from napari_flomo.session.observers import Observers
from napari_flomo.session.session import Session


class MessageBoard:
    """The messages of a window, of which the latest is shown.

    A message goes when its reason does (see `Until`), when its image is closed, or when the user
    dismisses it; then the one before is shown again. It replaces an earlier one of the same image
    and reason. While another image is chosen, it is hidden, unless it is an error.

    Parameters
    ----------
    session
        Its events are what ends messages.
    """

    def __init__(self, session: Session) -> None:
        self._messages: list[Message] = []
        self._chosen: str | None = None
        self._last: Message | None = None  # of which the observers know
        self._observers = Observers[[]]()
        session.subscribe(self._on_event)

    @property
    def shown(self) -> Message | None:
        """The message to show."""
        return next((one for one in reversed(self._messages) if self._concerns(one)), None)

    def subscribe(self, observer: Callable[[], object]) -> None:
        """Call a function whenever another message is to be shown, or none."""
        self._observers.add(observer)

    def post(self, message: Message) -> None:
        """Show a message."""

        def replaces(before: Message) -> bool:
            same = (before.key, before.until) == (message.key, message.until)
            return same and (message.until is not Until.ANSWER or before.text == message.text)

        self._messages = [one for one in self._messages if not replaces(one)]
        self._messages.append(message)
        self._update()

    def dismiss(self, message: Message) -> None:
        """Remove a message that the user has read or answered."""
        self._messages = [one for one in self._messages if one is not message]
        self._update()

    def solve(self, kind: str) -> None:
        """Remove messages of a kind, see `Message`, because their reason is gone."""
        self._messages = [one for one in self._messages if one.kind != kind]
        self._update()

    def choose(self, key: str | None) -> None:
        """Report that another image is chosen: messages about no image go."""
        if key != self._chosen:
            self._chosen = key
            self._remove(Until.ACTION, (None,))

    def acted(self, key: str | None = None) -> None:
        """Report an action of the user, on an image or in general."""
        self._remove(Until.ACTION, (key, None))

    def _concerns(self, message: Message) -> bool:
        return message.level == "error" or message.key in (None, self._chosen)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ImageRemoved):
            for until in Until:
                self._remove(until, (event.key,))
        elif isinstance(event, LabelsChanged | LocksChanged | PhasesChanged | ReviewChanged):
            self.acted(event.key)
        elif isinstance(event, RunStarted):
            self.acted(event.run.key)
            self._remove(Until.RUN, (event.run.key,))
        elif isinstance(event, AutosaveChanged) and event.problem is None:
            self._remove(Until.SAVED, (event.key,))

    def _remove(self, until: Until, keys: Collection[str | None]) -> None:
        self._messages = [
            one for one in self._messages if one.until is not until or one.key not in keys
        ]
        self._update()

    def _update(self) -> None:
        shown = self.shown
        if shown is not self._last:
            self._last = shown
            self._observers.notify()
