"""Open the studies of a work list in a viewer, one after the other, and remember their states."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from napari_flomo.corrections import Journal
from napari_flomo.errors import FlomoError, describe
from napari_flomo.session import study_messages
from napari_flomo.session.continuing import begin_review, continue_from
from napari_flomo.session.events import (
    Event,
    ImageRemoved,
    LabelsChanged,
    ReviewChanged,
    RunFinished,
)
from napari_flomo.session.messages import Choice, Message
from napari_flomo.session.model_choice import chosen_model
from napari_flomo.session.naming import image_name
from napari_flomo.session.observers import Observers
from napari_flomo.session.preferences import Preferences
from napari_flomo.session.removed_labels import is_at_risk
from napari_flomo.session.session import Session
from napari_flomo.session.viewer import ViewerAdapter
from napari_flomo.session.worklist import label_files, reading, saving
from napari_flomo.session.worklist.records import StudyRecord, StudyRecords
from napari_flomo.session.worklist.worklist import ListedStudy, WorkList
from napari_flomo.volumes.dicom import SeveralSeries

Choose = Callable[[SeveralSeries], str | None]


class Studies:
    """The work list of a viewer, and the study that is open.

    Reading and writing happen in one thread, one after the other; the viewer never waits.

    Parameters
    ----------
    session, viewer, preferences
        Of the viewer.
    choose
        Asks which of several DICOM series is meant; by default the message lists them.

    Attributes
    ----------
    worklist
        The list; None before a folder is chosen.
    current
        Id of the open study; None without one.
    busy
        What is being done, for the user; empty if nothing is.
    only_open
        Whether accepted studies are skipped.
    """

    def __init__(
        self,
        session: Session,
        viewer: ViewerAdapter,
        preferences: Preferences,
        choose: Choose = lambda _: None,
    ) -> None:
        self._session = session
        self._viewer = viewer
        self._preferences = preferences
        self._choose = choose
        self._observers = Observers[[]]()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flomo studies")
        self._key: str | None = None
        self._record = StudyRecord()
        self._saved = saving.fingerprint(None)
        self._painted = False  # whether the labels may differ from the saved ones
        self._known: dict[str, StudyRecord] = {}
        self._ahead: dict[str, StudyRecord] = {}
        self.worklist: WorkList | None = None
        self.current: str | None = None
        self.busy = ""
        self.only_open = True
        self._unsubscribe = session.subscribe(self._on_event)

    def subscribe(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call ``observer()`` when the list or the open study changes; return how to end this."""
        return self._observers.add(observer)

    def close(self) -> None:
        """Write what is known, and end the thread."""
        self._unsubscribe()
        self._observers.clear()
        self._thread.shutdown()

    # The list

    @property
    def listed(self) -> tuple[ListedStudy, ...]:
        """The studies to show."""
        if self.worklist is None:
            return ()
        return tuple(
            one
            for one in self.worklist.studies
            if not (self.only_open and one.state == "accepted" and one.study.id != self.current)
        )

    def choose_folder(self, folder: Path) -> None:
        """Start to list the studies of another folder; the open study is closed first."""
        if self._leave(lambda: self.choose_folder(folder)):
            return
        worklist = WorkList(folder)

        def listed(_: object) -> None:
            self.worklist = worklist
            self._preferences.worklist = str(folder)

        self._start(study_messages.READING, worklist.refresh, listed)

    def refresh(self) -> None:
        """Start to read the states of all studies again."""
        if self.worklist is not None and not self.busy:
            self._start(study_messages.READING, self.worklist.refresh, lambda _: None)

    # The open study

    def next(self) -> None:
        """Save the open study and open the next; the remembered one if none is open."""
        self._step(1, study_messages.LAST)

    def previous(self) -> None:
        """Save the open study and open the one before."""
        self._step(-1, study_messages.FIRST)

    def open(self, id: str) -> None:
        """Save the open study, asking the first time, and open another.

        Raises
        ------
        FlomoError
            If a study is being opened or segmented, or its files were removed.
        """
        if self.worklist is None or (id == self.current and self._key is not None):
            return
        if self.busy:
            raise FlomoError(study_messages.BUSY)
        one = self.worklist.get(id)
        if one is None or one.missing:
            raise FlomoError(study_messages.GONE_STUDY)
        if not self._leave(lambda: self.open(id)):
            self._read(one)

    def _step(self, step: int, at_the_end: str) -> None:
        if self.worklist is None:
            raise FlomoError(study_messages.NO_FOLDER)
        id = (
            self.worklist.remembered()
            if self.current is None and step > 0
            else self.worklist.beside(self.current, step, only_open=self.only_open)
        )
        if id is None:
            self._viewer.notify(Message(at_the_end))
            self._leave(lambda: None, keep=True)  # its question is the last message
        else:
            self.open(id)

    def _read(self, one: ListedStudy, series: str = "") -> None:
        worklist = self.worklist
        assert worklist is not None
        text = study_messages.OPENING.format(one.study.id)

        def work() -> reading.StudyData:
            data = reading.read_study(worklist, one, series)
            self._known[one.study.id] = data.record
            self._ahead.pop(one.study.id, None)
            return data

        def failed(error: FlomoError) -> None:
            chosen = self._choose(error) if isinstance(error, SeveralSeries) else None
            if chosen is not None:
                self._read(one, chosen)
            else:
                text = study_messages.UNREADABLE.format(one.study.id, error)
                self._viewer.notify(Message(text, "warning"))

        self._start(text, work, lambda data: self._show(one, data), failed)

    def _show(self, one: ListedStudy, data: reading.StudyData) -> None:
        """Show a study that was read, with the labels that are known of it."""
        worklist = self.worklist
        assert worklist is not None
        path = one.study.paths(worklist.folder)[0]
        by_folder = self._preferences.name_by_folder
        name = image_name(data.volume, path, by_folder=by_folder)
        self._key = key = self._viewer.add_image(data.volume, name)
        self.current, self._record = one.study.id, data.record
        text, level = "", "info"
        choices: tuple[Choice, ...] = ()
        try:
            if data.unsaved is not None and data.journal is not None:
                self._session.restore(key, data.unsaved, Journal.open(data.journal))
                text = study_messages.RESTORED
            elif data.saved is not None:
                begin_review(self._session, key, data.saved, dict(data.record.note))
                text = study_messages.RESUMED
            elif one.labels is not None:
                text = study_messages.offer_text(one.labels.name)
                choices = (self._offer(one.labels),)
            if self._session.image(key).labels is not None:
                self._viewer.show_labels(key)
                self._viewer.select_labels(key)
        except FlomoError as error:
            text, level = str(error), "warning"
        image = self._session.image(key)
        self._painted = False
        self._saved = saving.fingerprint(None if data.unsaved else image)
        self._put_record(
            saving.with_state(
                replace(data.record, stamp=data.stamp, image=data.image_hash, series=data.series),
                image,
            )
        )
        worklist.put(one.study.id, self._record)
        self._thread.submit(self._remember, worklist.records, one.study.id)
        if text:
            self._viewer.notify(Message(text, level, choices=choices, key=key))

    def _offer(self, labels: Path) -> Choice:
        def accept() -> None:
            if self._key is not None:
                model = chosen_model(self._preferences.model)
                continue_from(self._session, self._viewer, self._key, labels, model)

        title, tip = study_messages.CONTINUE
        return Choice(title.removesuffix("…"), accept, tip)

    # Leaving a study

    def _leave(self, then: Callable[[], None], *, keep: bool = False) -> bool:
        """Close the open study, then call ``then``; return False if none is open.

        Labels that are not saved are saved first, after a question the first time. ``keep`` saves
        only.
        """
        key, worklist = self._key, self.worklist
        if key is None or worklist is None or self.current is None:
            return False
        if self.busy:
            raise FlomoError(study_messages.BUSY)
        running = self._session.running
        if running is not None and running.key == key:
            raise FlomoError(study_messages.RUNNING)
        self._viewer.read_labels(key)
        image, one = self._session.image(key), worklist.get(self.current)
        if one is None or saving.is_saved(image, self._saved):
            self._finish(then, keep=keep)
            return True
        records = worklist.records
        path = label_files.where_to_save(worklist.folder, one.study, records, self._record.labels)
        snapshot = saving.Snapshot.of(image, path)

        def save() -> None:
            work = partial(snapshot.write, records, one.study.id)
            self._start(study_messages.SAVING, work, saved)

        def saved(sha256: str) -> None:
            self._put_record(replace(self._record, labels=sha256))
            self._saved = snapshot.fingerprint
            self._painted = saving.fingerprint(image) != snapshot.fingerprint
            if not self._painted:
                self._session.labels_saved(key)
            self._finish(then, keep=keep)
            self._viewer.notify(Message(study_messages.SAVED.format(path)))

        if records.position.save:
            save()
        else:
            text = study_messages.save_text(str(path))
            drop = partial(self._finish, then, keep=keep, saved=False)
            choices = (
                Choice(study_messages.SAVE[0], save, study_messages.SAVE[1]),
                Choice(study_messages.NO_SAVE[0], drop, study_messages.NO_SAVE[1]),
            )
            self._viewer.ask(Message(text, "warning", choices=choices, key=key))
        return True

    def save_on_closing(self) -> None:
        """Save the open study now if the user agreed to that; strokes are left to their journal.

        Raises `FlomoError` if the file cannot be written.
        """
        key, worklist = self._key, self.worklist
        if key is None or worklist is None or self.current is None:
            return
        image, one, records = self._session.image(key), worklist.get(self.current), worklist.records
        if one is not None and records.position.save and is_at_risk(image):
            path = label_files.where_to_save(
                worklist.folder, one.study, records, self._record.labels
            )
            snapshot = saving.Snapshot.of(image, path)
            sha256 = self._thread.submit(snapshot.write, records, one.study.id).result()
            self._put_record(replace(self._record, labels=sha256))
            self._saved = snapshot.fingerprint
            self._session.labels_saved(key)

    def _finish(self, then: Callable[[], None], *, keep: bool, saved: bool = True) -> None:
        if self._key is not None:
            image = self._session.image(self._key)
            self._put_record(saving.with_state(self._record, image, note=saved))
        if not keep and self._key is not None:
            self._session.image(self._key).unsaved = False  # saved, or the user decided
            key, self._key, self.current = self._key, None, None
            self._viewer.remove_image(key)
        self._observers.notify()
        then()

    # What the session reports

    def _on_event(self, event: Event) -> None:
        key = event.run.key if isinstance(event, RunFinished) else getattr(event, "key", None)
        if key is None or key != self._key:
            return
        if isinstance(event, ImageRemoved):  # the user closed the image
            self._key, self.current = None, None
            self._observers.notify()
        elif isinstance(event, RunFinished | ReviewChanged | LabelsChanged):
            self._painted |= not isinstance(event, ReviewChanged)
            if not self.busy:
                continues = bool(self._record.labels) and not self._painted
                image = self._session.image(key)
                self._put_record(saving.with_state(self._record, image, note=continues))

    def _put_record(self, record: StudyRecord) -> None:
        """Show the record of the open study now, and write it in the thread if it changed."""
        worklist, id = self.worklist, self.current
        if worklist is None or id is None or record == self._record:
            return
        self._record = record
        worklist.put(id, record)
        self._observers.notify()
        self._thread.submit(self._write, worklist.records, id, record)

    def _remember(self, records: StudyRecords, id: str) -> None:
        """Note which study is open; called in the thread."""
        with suppress(FlomoError):
            records.position = replace(records.position, study=records.key(id))

    def _write(self, records: StudyRecords, id: str, record: StudyRecord) -> None:
        """Write a record; called in the thread, which alone knows the revisions."""
        known = self._known.get(id)
        if known is not None:
            record = replace(record, revision=known.revision)
        if id in self._ahead:  # another window was further than this one
            record = record.with_state_of(self._ahead[id])
        with suppress(FlomoError):  # the labels and corrections are safe without it
            written = self._known[id] = records.write(id, record)
            if written.state != record.state:
                self._ahead[id] = written

    def _start(
        self,
        text: str,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[FlomoError], None] | None = None,
    ) -> None:
        """Call ``work`` in the thread, and ``done`` with its result in that of the viewer."""

        def report(error: FlomoError) -> None:
            self._viewer.notify(Message(str(error), "warning"))

        def end(finish: Callable[[], None]) -> None:
            self.busy = ""
            try:
                finish()
            except FlomoError as error:
                report(error)
            self._observers.notify()

        def run() -> None:
            try:
                result = work()
            except FlomoError as error:
                problem = error
            except Exception as error:  # the panel must be usable again
                problem = FlomoError(describe(error).sentence)
            else:
                self._viewer.dispatch(lambda: end(lambda: done(result)))
                return
            self._viewer.dispatch(lambda: end(lambda: (failed or report)(problem)))

        self.busy = text
        self._observers.notify()
        self._thread.submit(run)
