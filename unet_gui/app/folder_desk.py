"""Opening and closing folders, the sample, and what to say about a folder that was opened."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QObject, QStandardPaths, Signal, Slot

from unet_gui.app import words
from unet_gui.app.chores import Chores
from unet_gui.app.folder import open_dataset
from unet_gui.app.jobs import JobRunner
from unet_gui.app.messages import Message, Offer
from unet_gui.app.session import Session
from unet_gui.app.settings import Settings
from unet_gui.core.errors import UserError
from unet_gui.core.project import Dataset
from unet_gui.core.project_file import NAME
from unet_gui.core.text import in_words


def sample_folder() -> Path:
    """Return where the built-in sample is kept: among the person's own data, so that work on it stays."""
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(base or Path.home()) / "unet-gui" / "sample"


def make_sample(folder: Path) -> None:
    """Write the built-in sample unless it is there.

    Raises
    ------
    UserError
        The folder holds something else.
    """
    from unet_gui.core.sample import write_sample

    if (folder / "image").is_dir():
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError("is not empty.", folder, "Name a new folder for the sample.")
    write_sample(folder)


ASIDE = "project-put-aside.json"
"""Name of a project file that is in the way."""


class _Wanted(NamedTuple):
    """A folder to open, and how: see `Session.open_folder`."""

    path: Path
    labels: Path | None = None
    state: Path | None = None
    anyway: bool = False
    first: str = ""


class FolderDesk(QObject):
    """Takes the window from one folder to another without losing anything.

    The one that is open stays open until the other one is known to be one that can be opened.

    Parameters
    ----------
    ask : callable
        Asks a question: text, what "yes" says, what it does.

    Signals
    -------
    busy(str)
        A folder is being opened; empty when nothing is.
    said(Message)
    sample_wanted()
        The sample is being opened: show the guide.
    """

    busy = Signal(str)
    said = Signal(object)
    sample_wanted = Signal()

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        settings: Settings,
        ask: Callable[[str, str, Callable[[], object]], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._settings = settings
        self._ask = ask
        for over in (runner.finished, runner.failed, runner.cancelled):
            over.connect(self._on_job_over)
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_sample)
        self._chores.failed.connect(self._on_no_sample)
        self._asked = 0  # number of the last request: an answer to an older one is dropped
        self._wanted = _Wanted(Path())
        session.not_opened.connect(self._on_not_opened)
        self._looks = Chores(1, self)
        self._looks.done.connect(self._on_looked)
        self._looks.failed.connect(self._on_not_looked)

    def close(self) -> None:
        """End the threads."""
        self._asked += 1
        self._looks.close()
        self._chores.close()

    @Slot(object)
    def open(self, path: Path) -> None:
        """Open a folder of images, or the folder of an image and that image."""
        self.open_with_labels(path, None)

    def open_with_labels(self, path: Path, labels: Path | None) -> None:
        """Open a folder whose labels are kept elsewhere."""
        self._want(_Wanted(path, labels, first=self._last_image(path)))

    def _last_image(self, folder: Path) -> str:
        return str(self._settings.left(folder).get("image", ""))

    def _want(self, wanted: _Wanted) -> None:
        """Open a folder, in the place of another one when it has been looked at."""
        self._asked += 1
        self._wanted = wanted
        if self._session.folder is None:
            self._open(wanted)
        elif self._runner.busy:
            self.busy.emit("")  # another one that was being looked at is not wanted any more
            self._say_running()
        else:
            self.busy.emit(f"Opening {wanted.path} …")
            work = partial(open_dataset, wanted.path, wanted.labels, wanted.state)
            self._looks.give((self._asked, wanted), work)

    @Slot(object, object)
    def _on_looked(self, tag: tuple[int, _Wanted], dataset: Dataset) -> None:
        asked, wanted = tag
        if asked == self._asked:
            self.busy.emit("")
            self._open(wanted, None if self._shares(dataset) else dataset)

    def _shares(self, dataset: Dataset) -> bool:
        """Whether a folder has something of the open one, which may write more of it before it is closed."""
        here = self._session.dataset
        return here is not None and bool(
            {here.state_dir, here.label_root, here.image_root}
            & {dataset.state_dir, dataset.label_root, dataset.image_root}
        )

    @Slot(object, object)
    def _on_not_looked(self, tag: tuple[int, _Wanted], error: Exception) -> None:
        asked, wanted = tag
        if asked == self._asked:
            self._say_not_opened(wanted, error)

    @Slot(object, object)
    def _on_not_opened(self, path: Path, error: Exception) -> None:
        self._say_not_opened(self._wanted if self._wanted.path == path else _Wanted(path), error)

    def _say_not_opened(self, wanted: _Wanted, error: Exception) -> None:
        """Say why, and offer to do without the project file where that is in the way."""
        self.busy.emit("")
        project = Path(error.path) if isinstance(error, UserError) and error.path else None
        offers: tuple[Offer, ...] = ()
        if project is not None and project.name == NAME and project.is_file():
            offers = (Offer("Open without it", partial(self._open_without, wanted, project)),)
        self.said.emit(words.folder_not_opened(wanted.path, error, offers))

    def _open_without(self, wanted: _Wanted, project: Path) -> None:
        """Open a folder as if for the first time; its project file is put aside, for whoever can mend it."""
        aside, number = project.with_name(ASIDE), 1
        while aside.exists():  # one that was put aside before stays
            number += 1
            aside = aside.with_stem(f"{Path(ASIDE).stem}-{number}")
        try:
            project.replace(aside)
        except OSError as error:
            self.said.emit(Message.of(error, topic="folder"))
        else:
            self._want(wanted)

    def _open(self, wanted: _Wanted, listed: Dataset | None = None) -> None:
        path, labels, state, anyway, first = wanted
        if self._runner.busy:
            self._say_running()
        elif self._session.open_folder(path, labels, state, anyway=anyway, first=first, listed=listed):
            self.busy.emit(f"Opening {path} …")
        else:
            self.ask_to_lose(partial(self._open_anyway, wanted))

    def _open_anyway(self, wanted: _Wanted) -> None:
        if self._close_anyway():
            self._open(wanted)

    def _close_anyway(self) -> bool:
        """Close the folder though labels are lost, unless something has been begun since that was asked."""
        if self._runner.busy:
            self._say_running()
            return False
        return self._session.close_folder(lose_changes=True)

    def _take_over(self) -> None:
        """Open the folder for writing though another window, which is said to be gone, has it open."""
        folder = self._session.folder
        if folder is None:
            return
        opened = folder.opened
        self._want(_Wanted(opened.folder, opened.labels, opened.state, anyway=True, first=self._session.key))

    def close_folder(self) -> None:
        """Save everything and go back to the start page."""
        if self._runner.busy:
            self._say_running()
        elif not self._session.close_folder():
            self.ask_to_lose(self._close_anyway)

    def _say_running(self) -> None:
        text = "Something is still running. Stop it first, then leave the folder."
        self.said.emit(Message("info", text, topic="running", offers=(Offer("Stop", self._runner.cancel),)))

    @Slot()
    def _on_job_over(self) -> None:
        if not self._runner.busy:
            self._session.settled.emit("running")

    def ask_to_lose(self, act: Callable[[], object]) -> None:
        """Ask whether labels that could not be saved may be lost."""
        unsaved = self._session.unsaved()
        count = f"{len(unsaved)} labels" if len(unsaved) > 1 else "One label"
        names = ", ".join(unsaved[:6]) + (" …" if len(unsaved) > 6 else "")
        self._ask(in_words(f"{count} could not be saved and would be lost: {names}."), "Lose them", act)

    def open_sample(self, where: Path | None = None) -> None:
        """Make the built-in sample if it is not there yet, and open it with the guide."""
        folder = where or sample_folder()
        self._asked += 1
        self.sample_wanted.emit()
        self.busy.emit("Making the sample …")
        self._chores.give((self._asked, folder), partial(make_sample, folder))

    @Slot(object, object)
    def _on_sample(self, tag: tuple[int, Path], _made: object) -> None:
        asked, folder = tag
        if asked == self._asked:  # else another folder has been wanted since
            self.open(folder)

    @Slot(object, object)
    def _on_no_sample(self, tag: tuple[int, Path], error: Exception) -> None:
        if tag[0] == self._asked:
            self.busy.emit("")
            self.said.emit(Message.of(error, topic="folder"))

    def welcome(self, elsewhere: Callable[[], None]) -> None:
        """Say what is special about the folder that was opened, and keep it among the recent ones."""
        folder = self._session.folder
        if folder is None:
            return
        self._settings.remember(folder.opened.folder)
        if folder.read_only:
            opened = folder.opened
            take_over = (Offer("Take it over", self._take_over),) if opened.holder and not opened.lives else ()
            folder.offers = (*take_over, Offer("Keep labels elsewhere…", elsewhere))
            self.said.emit(words.read_only("Opened to look only.", folder.read_only, folder.offers))
        if folder.recovery.keys:
            self.said.emit(folder.recovery.offer(words.strokes_unsaved))
