"""The models of a folder: which there are, which one is used, and what the person wants of them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app.class_list import is_gone
from unet_gui.app.messages import Message
from unet_gui.app.model_facts import Wishes, facts_of, modified
from unet_gui.app.panels.model import ModelFacts
from unet_gui.app.session import Session
from unet_gui.core.errors import UserError
from unet_gui.core.model_info import read_model_info
from unet_gui.core.palette import ClassInfo, color_of, default_classes, distinct


class ModelShelf(QObject):
    """Knows the models of the open folder.

    Attributes
    ----------
    wishes : Wishes
    model : Path or None
        The model in use.
    models : list of ModelFacts
        Models of the folder, newest first.

    Signals
    -------
    changed()
    said(Message)
    """

    changed = Signal()
    said = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.wishes = Wishes()
        self.model: Path | None = None
        self.models: list[ModelFacts] = []
        self._facts: dict[Path, tuple[int, ModelFacts]] = {}
        self._told: set[str] = set()
        session.folder_changed.connect(self._on_folder)

    @property
    def folder(self) -> Path | None:
        """Where models of the open folder are."""
        dataset = self._session.dataset
        return None if dataset is None else dataset.state_dir / "models"

    @Slot()
    def _on_folder(self) -> None:
        dataset = self._session.dataset
        self.wishes = Wishes.from_json(dataset.settings.get("model") if dataset else None)
        self.model = None
        if dataset is not None and self.wishes.model:
            path = dataset.state_dir / self.wishes.model
            self.model = path if os.path.isfile(path) else None  # which may be no path at all
        self.refresh()

    def refresh(self) -> None:
        """Look again at what models there are."""
        folder = self.folder
        paths = sorted(folder.glob("*.safetensors"), key=modified, reverse=True) if folder else []
        if self.model is not None and self.model not in paths:
            paths.append(self.model)
        self.models = [self.facts_of(path) for path in paths if path.exists()]
        if self.model is None:
            self.model = next((facts.path for facts in self.models if not facts.problem), None)
        if self.model is not None:
            self._session.settled.emit("no model")
        self.changed.emit()

    def facts_of(self, path: Path) -> ModelFacts:
        """Return what is shown of a model; a file is read once."""
        stamp = modified(path)
        known = self._facts.get(path)
        if known is None or known[0] != stamp:
            known = stamp, facts_of(path)
            self._facts[path] = known
        return known[1]

    def use(self, path: Path) -> None:
        """Predict with this model from now on."""
        facts = self.facts_of(path)
        if facts.problem:
            self.said.emit(Message("error", facts.problem, topic="model"))
            self.changed.emit()  # the one in use is another than the person has just chosen
            return
        self.model = path
        dataset = self._session.dataset
        if dataset is not None:
            inside = path.is_relative_to(dataset.state_dir)
            self.set_wishes(
                replace(self.wishes, model=path.relative_to(dataset.state_dir).as_posix() if inside else str(path))
            )
        self.refresh()

    def set_wishes(self, wishes: Wishes) -> None:
        """Keep what the person has chosen."""
        self.wishes = wishes
        self._session.keep_setting("model", wishes.to_json())

    def base_name(self) -> str:
        """Return what models are called, after the folder."""
        dataset = self._session.dataset
        assert dataset is not None
        name = dataset.root.name
        if name.lower() in ("train", "images", "image", "data", "") and dataset.root.parent.name:
            name = dataset.root.parent.name
        return name

    def new_name(self) -> str:
        """Return a name for the next model."""
        name, folder = self.base_name(), self.folder
        assert folder is not None
        number = 1
        while (folder / f"{name}-{number}.safetensors").exists():
            number += 1
        return f"{name}-{number}"

    def forget_lost(self) -> None:
        """Use the newest one that is left when the file of the model in use is gone; then it is said."""
        lost = self.model
        if lost is not None and not lost.exists():
            self.model = None
            self.refresh()
            if self.model is not None:
                text = f"The model {lost.stem} is gone. {self.model.stem} is used from now on."
                self.said.emit(Message("warning", text, topic="model"))

    # --- classes ---------------------------------------------------------------------------------------------------

    def teach_folder(self, model: Path) -> bool:
        """Make sure that the folder knows the model's classes. False when the model cannot be read; then it is said."""
        dataset = self._session.dataset
        if dataset is None or model.suffix != ".safetensors":
            return True
        try:
            theirs = read_model_info(model).classes
        except UserError as error:
            self.said.emit(Message.of(error, topic="model"))
            return False
        ours = self._session.classes
        if self._is_fresh() and {info.id for info in ours} <= {info.id for info in theirs} and theirs != ours:
            names = ", ".join(info.name for info in theirs)
            self._session.set_classes(list(theirs))
            self.said.emit(Message("info", f"The folder has the model's classes now: {names}.", topic="model"))
            return True
        known = {info.id: info.name for info in ours}
        self._compare_names(theirs, known)
        new = [info for info in theirs if info.id not in known]
        gone = [info for info in new if is_gone(dataset, info)]
        if gone:
            names = " and ".join(f"“{info.name}”" for info in gone)
            self._say_once(
                f"The model still knows {names}. A class that was removed or merged here does not come back."
            )
        new = [info for info in new if info not in gone]
        if new:
            colors = {info.color for info in ours}
            added = distinct([i if i.color not in colors else replace(i, color=color_of(i.id)) for i in new], ours)
            names = ", ".join(info.name for info in added)
            self._session.set_classes([*ours, *added])
            self.said.emit(Message("info", f"The model knows classes that were added here: {names}.", topic="model"))
        return True

    def _is_fresh(self) -> bool:
        """Whether nobody has worked on the folder: its made-up classes mean nothing yet."""
        dataset = self._session.dataset
        return (
            dataset is not None
            and dataset.classes == default_classes()
            and not any(map(dataset.has_label, dataset.images))
            and not any(document.dirty for document in self._session.saving.documents())
        )

    def _compare_names(self, theirs: Sequence[ClassInfo], known: dict[int, str]) -> None:
        """Warn where a number means something else to the model: its pixels come under the folder's name."""
        plain = re.compile(r"class \d+")
        other = [
            f"“{info.name}” comes as “{known[info.id]}”"
            for info in theirs
            if known.get(info.id, info.name) != info.name
            and not plain.fullmatch(info.name)
            and not plain.fullmatch(known[info.id])
        ]
        if other:
            self._say_once(f"The model calls classes by other names: what it knows as {', '.join(other)}.", "warning")

    def _say_once(self, text: str, kind: str = "info") -> None:
        if text not in self._told:
            self._told.add(text)
            self.said.emit(Message(kind, text, topic="names"))
