"""Show unsaved edits again without blocking the viewer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from napari_flomo.corrections import REPLAY_STEPS, Journal, replay
from napari_flomo.errors import Cancelled, FlomoError, Problem, describe
from napari_flomo.jobs import Progress
from napari_flomo.session import recovery, unsaved_messages
from napari_flomo.session.events import RestoreEnded, RestoreProgressed
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.messages import Message
from napari_flomo.session.recovery import Restored
from napari_flomo.session.session import Session
from napari_flomo.session.unsaved import UnsavedWork
from napari_flomo.session.viewer import ViewerAdapter


class Restoring:
    """Reads unsaved edits in a thread and shows them.

    They are shown on the chosen image if they belong to it and it has no unsaved edits, else on
    the copy that was saved with them. What the viewer does for that is done in steps, so that it
    can handle other events in between. Observers of the session get `RestoreProgressed`, and
    `RestoreEnded` at the end.

    ``show_labels`` shows the labels of an image in the viewer.

    Attributes
    ----------
    work
        What is restored.
    key
        The image that shows it; None until that is known.
    ended
        Whether it is done, failed or cancelled.
    """

    def __init__(
        self,
        work: UnsavedWork,
        session: Session,
        viewer: ViewerAdapter,
        show_labels: Callable[[str], None],
    ) -> None:
        self.work = work
        self.key: str | None = None
        self.ended = False
        self._session = session
        self._viewer = viewer
        self._show_labels = show_labels
        self._journal: Journal | None = None
        self._added = False
        self._cancelled = False

    def start(self) -> None:
        """Start to read."""
        key = self._viewer.chosen_image()
        image = None
        if key is not None:
            self._viewer.read_labels(key)
            image = self._session.image(key)
        self._report(Progress(0, REPLAY_STEPS + 1, unsaved_messages.READING))
        thread = threading.Thread(target=self._read, args=(image,), name="flomo restore")
        thread.daemon = True
        thread.start()

    def cancel(self) -> None:
        """Stop soon; the edits stay unsaved. Does nothing once they are shown."""
        self._cancelled = True

    # In the thread

    def _read(self, image: OpenImage | None) -> None:
        try:
            self._viewer.warm_up()
            found = replay(self.work.folder, self._on_progress)
            self._journal = Journal.open(self.work.folder)
            restored = recovery.prepare(found)
            fits = image is not None and recovery.belongs(found, image)
        except Exception as error:  # the viewer must learn that it has ended
            problem = describe(error)
            self._viewer.dispatch(lambda: self._end(problem))
        else:
            self._then(partial(self._choose, restored, image if fits else None))

    def _on_progress(self, progress: Progress) -> None:
        if self._cancelled:
            raise Cancelled
        progress = Progress(progress.done, progress.total + 1, unsaved_messages.READING)
        self._viewer.dispatch(lambda: self._report(progress))

    # In the viewer's thread, each in its own turn

    def _choose(self, restored: Restored, image: OpenImage | None) -> None:
        if image is not None and image in self._session.images and image.autosave is None:
            self.key = image.key
            self._then(partial(self._put, restored))
        else:
            self._viewer.prepare_image(restored.found.image)
            self._then(partial(self._add, restored))

    def _add(self, restored: Restored) -> None:
        name = self.work.journal.name or unsaved_messages.RESTORED_IMAGE
        self.key = self._viewer.add_image(restored.found.image, name)
        self._added = True
        self._then(partial(self._put, restored))

    def _put(self, restored: Restored) -> None:
        assert self.key is not None
        self._session.restore(self.key, restored, self._journal)
        self._journal, self._added = None, False
        self._then(partial(self._show, restored))

    def _show(self, restored: Restored) -> None:
        assert self.key is not None
        self._show_labels(self.key)
        self._then(partial(self._select, restored))

    def _select(self, restored: Restored) -> None:
        assert self.key is not None
        self._viewer.select_labels(self.key)
        self._then(partial(self._announce, restored))

    def _announce(self, restored: Restored) -> None:
        assert self.key is not None
        found, known = restored.found, self._session.image(self.key).segmentation
        hint = "" if known is None or known.uncertainty else f" {unsaved_messages.NO_MAPS_HINT}"
        text = unsaved_messages.restored_text(found) + hint
        self._viewer.notify(Message(text, "warning" if found.lost else "info", key=self.key))
        self._end(None)

    def _then(self, step: Callable[[], None]) -> None:
        """Have the next step done in a turn of its own."""

        def attempt() -> None:
            try:
                if self._session.closed or (self._cancelled and self._journal is not None):
                    raise Cancelled
                step()
            except FlomoError as error:
                self._end(describe(error))

        self._viewer.dispatch(attempt)

    def _report(self, progress: Progress) -> None:
        if not self.ended:
            self._session.notify(RestoreProgressed(progress))

    def _end(self, problem: Problem | None) -> None:
        if self._journal is not None:
            self._journal.close()
        self.ended = True
        if self._session.closed:
            return
        if self._added and self.key is not None:
            self._viewer.remove_image(self.key)
        if self._cancelled and problem is not None:
            self._viewer.notify(Message(unsaved_messages.RESTORE_CANCELLED))
        elif problem is not None:
            self._viewer.notify(Message(problem.sentence, "warning", problem.details))
        self._session.notify(RestoreEnded())
