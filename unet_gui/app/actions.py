"""Everything the person can do, in one table: text, keys, icon, explanation. Menus, buttons and F1 are made from it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from unet_gui.app import theme
from unet_gui.core.text import percent

TIP_WIDTH = 56
"""Letters in a line of a tooltip."""


@dataclass(frozen=True)
class ActionSpec:
    """One thing the person can do.

    Attributes
    ----------
    id : str
        Name in the program and in the settings.
    text : str
        In the menu.
    keys : tuple of str
        In Qt's portable form; the first is shown.
    group : str
        Heading in the list of shortcuts.
    tip : str
        One sentence for the tooltip and the list.
    icon : str
        File in ``resources/icons``, empty for none.
    checkable : bool
    repeats : bool
        Whether a held key does it again and again.
    """

    id: str
    text: str
    keys: tuple[str, ...]
    group: str
    tip: str
    icon: str = ""
    checkable: bool = False
    repeats: bool = False


@dataclass(frozen=True)
class Gesture:
    """Something done with held keys or the pointer: listed under F1, not an action."""

    keys: str
    group: str
    text: str


def _spec(*row: str, icon: str = "", checkable: bool = False, repeats: bool = False) -> ActionSpec:
    """Make a row: id, text, keys separated by spaces, group, tip."""
    name, text, keys, group, tip = row
    return ActionSpec(name, text, tuple(keys.split()), group, tip, icon, checkable, repeats)


FILE, EDIT, VIEW, LABEL, MODEL, TOOLS, HELP = "Files", "Edit", "View", "Label", "Model", "Tools", "Help"

SPECS: tuple[ActionSpec, ...] = (
    _spec("open", "Open folder…", "Ctrl+O", FILE, "Open a folder of images", icon="folder"),
    _spec("open_sample", "Open the sample", "", FILE, "Try everything on the built-in sample", icon="sample"),
    _spec("save", "Save labels", "Ctrl+S", FILE, "Save all labels that have changed", icon="save"),
    _spec("save_masks", "Save masks to…", "Ctrl+Shift+S", FILE,
          "Write the mask of every image: your label, and the prediction where you have said nothing"),
    _spec("export", "Export…", "Ctrl+E", FILE, "Write labels and masks for other programs: COCO, labelme, YOLO…"),
    _spec("import", "Import labels…", "Ctrl+I", FILE, "Read labels that another program has made"),
    _spec("encoding", "How labels are stored…", "", FILE, "See and change how class ids are written in label files"),
    _spec("labels_elsewhere", "Keep labels elsewhere…", "", FILE, "Choose another place for this folder's labels"),
    _spec("close_folder", "Close folder", "Ctrl+W", FILE, "Save and go back to the start page"),
    _spec("quit", "Quit", "Ctrl+Q", FILE, "Save everything and leave"),
    _spec("undo", "Undo", "Ctrl+Z", EDIT, "Take back the last change of this image", icon="undo", repeats=True),
    _spec("redo", "Redo", "Ctrl+Shift+Z Ctrl+Y", EDIT, "Make that change again", icon="redo", repeats=True),
    _spec("copy", "Copy blob", "Ctrl+C", EDIT,
          "Copy the blob under the pointer, or what is in the box of the blob tool"),
    _spec("paste", "Paste blob", "Ctrl+V", EDIT, "Let the copied blob hang at the pointer until the next click"),
    _spec("delete", "Delete blob", "Del", EDIT, "Make the blob under the pointer unlabelled", icon="trash"),
    _spec("settings", "Settings…", "Ctrl+,", EDIT, "Theme, autosave, brush"),
    _spec("next", "Next image", "D PgDown", VIEW, "Go to the next image", icon="next", repeats=True),
    _spec("previous", "Previous image", "A PgUp", VIEW, "Go to the previous image", icon="previous", repeats=True),
    _spec("next_unfinished", "Next unfinished image", "Ctrl+Shift+D", VIEW, "Go to the next image that is not done"),
    _spec("fit", "Fit to window", "Ctrl+F", VIEW, "Show the whole image", icon="fit"),
    _spec("actual", percent(1), "Ctrl+0", VIEW, "Show one image pixel on one screen pixel", icon="actual"),
    _spec("zoom_in", "Zoom in", "Ctrl++ Ctrl+=", VIEW, "Show the image larger", repeats=True),
    _spec("zoom_out", "Zoom out", "Ctrl+-", VIEW, "Show the image smaller", repeats=True),
    _spec("show_label", "Label", "V", VIEW, "Show or hide the label", checkable=True),
    _spec("show_prediction", "Prediction", "G", VIEW, "Show or hide the prediction", checkable=True),
    _spec("outline", "Outlines only", "O", VIEW, "Show borders instead of areas", icon="outline", checkable=True),
    _spec("split", "Prediction beside label", "Y", VIEW,
          "Prediction left and label right of a line that can be dragged", icon="split", checkable=True),
    _spec("difference", "Differences only", "U", VIEW, "Only where label and prediction disagree", icon="difference",
          checkable=True),
    _spec("minimap", "Minimap", "J", VIEW, "A small picture of the whole image while zoomed in", icon="minimap",
          checkable=True),
    _spec("scale_bar", "Scale bar", "Shift+J", VIEW, "A scale bar, where the file gives the size of a pixel",
          icon="scale-bar", checkable=True),
    _spec("filter", "Find an image", "Ctrl+L", VIEW, "Type a name or a status to filter the list", icon="search"),
    _spec("take_over", "Take over prediction", "T", LABEL,
          "Unlabelled pixels become what the model predicts; what you labelled stays", icon="take-over"),
    _spec("take_over_all", "Replace label by prediction", "Ctrl+Shift+T", LABEL,
          "The whole image becomes what the model predicts, also where you labelled"),
    _spec("sure_all", "Take over what is sure", "Ctrl+Alt+K", LABEL,
          "In the whole image: unlabelled pixels take the prediction where the model is sure enough"),
    _spec("specks_all", "Remove specks everywhere", "Ctrl+Alt+S", LABEL,
          "In the whole image: blobs under the size of the tool Remove specks become what surrounds them"),
    _spec("holes_all", "Fill holes everywhere", "Ctrl+Alt+F", LABEL,
          "In the whole image: holes of the class under the size of the tool Remove specks are filled"),
    _spec("grow_class", "Grow class", "Ctrl+Alt++ Ctrl+Alt+=", LABEL,
          "In the whole image: the class that is painted grows by a pixel", repeats=True),
    _spec("shrink_class", "Shrink class", "Ctrl+Alt+-", LABEL,
          "In the whole image: the class that is painted shrinks by a pixel", repeats=True),
    _spec("next_doubtful", "Next doubtful place", "N", LABEL,
          "Go to where the model is least sure, in this image and then in the next ones", icon="doubt"),
    _spec("done", "Done and next", "Ctrl+Return Ctrl+Enter", LABEL,
          "All remaining unlabelled pixels take the prediction, the image is done; go to the next unfinished one",
          icon="check"),
    _spec("swap", "Swap with background", "X", LABEL, "Change between the class and background"),
    _spec("clear", "Clear label", "Ctrl+Backspace", LABEL, "Make every pixel of this image unlabelled"),
    _spec("add_class", "Add a class", "", LABEL, "Add a class", icon="plus"),
    _spec("class_up", "Move class up", "Alt+Up", LABEL, "Move the class that is painted up in the list", repeats=True),
    _spec("class_down", "Move class down", "Alt+Down", LABEL, "Move the class that is painted down in the list",
          repeats=True),
    _spec("import_classes", "Import classes…", "", LABEL, "Take names and colours of classes from a file"),
    _spec("export_classes", "Save list of classes…", "", LABEL, "Write names and colours of classes to a file"),
    _spec("brush_smaller", "Smaller brush", "[", TOOLS, "Make brush and eraser smaller", repeats=True),
    _spec("brush_larger", "Larger brush", "]", TOOLS, "Make brush and eraser larger", repeats=True),
    _spec("pen_click", "Click with the key pen", "Ctrl+Space", TOOLS,
          "Use the tool where its ring is, without a mouse: paints a dot, sets a corner, picks a blob"),
    _spec("pen_down", "Key pen down or up", "Shift+Space", TOOLS,
          "Put the tool down or lift it; meanwhile moving it draws, without a mouse. Esc takes the stroke back"),
    _spec("pen_left", "Move key pen left", "Shift+Left", TOOLS, "Move the ring by half the brush", repeats=True),
    _spec("pen_right", "Move key pen right", "Shift+Right", TOOLS, "Move the ring by half the brush", repeats=True),
    _spec("pen_up", "Move key pen up", "Shift+Up", TOOLS, "Move the ring by half the brush", repeats=True),
    _spec("pen_lower", "Move key pen down", "Shift+Down", TOOLS, "Move the ring by half the brush", repeats=True),
    _spec("pen_left_fine", "Key pen a pixel left", "Ctrl+Left", TOOLS, "Move the ring by one pixel", repeats=True),
    _spec("pen_right_fine", "Key pen a pixel right", "Ctrl+Right", TOOLS, "Move the ring by one pixel", repeats=True),
    _spec("pen_up_fine", "Key pen a pixel up", "Ctrl+Up", TOOLS, "Move the ring by one pixel", repeats=True),
    _spec("pen_lower_fine", "Key pen a pixel down", "Ctrl+Down", TOOLS, "Move the ring by one pixel", repeats=True),
    _spec("train", "Train", "Ctrl+T", MODEL, "Save the labels and let the model learn them", icon="train"),
    _spec("live", "Learn while I paint", "Ctrl+Shift+L", MODEL,
          "Learn what you paint, a quarter of a minute at a time, and predict the open image after each",
          checkable=True),
    _spec("stop", "Stop", "Ctrl+.", MODEL, "Stop what runs and what waits; what is finished stays", icon="stop"),
    _spec("predict", "Predict this image", "R", MODEL, "Let the model look at this image", icon="predict"),
    _spec("segment", "Segment all", "Ctrl+B", MODEL,
          "Predict every image of the folder; what is up to date is skipped", icon="segment"),
    _spec("load_model", "Use another model…", "", MODEL, "Choose a model file from somewhere else"),
    _spec("model_settings", "Model settings…", "", MODEL, "Recipe, time, device and more", icon="settings"),
    _spec("shortcuts", "Keyboard shortcuts", "F1 ?", HELP, "All keys, with a search field", icon="keyboard"),
    _spec("guide", "Show first steps", "", HELP, "A card over the image with the first three steps", icon="help",
          checkable=True),
    _spec("about", "About unet-gui", "", HELP, "Version and licence", icon="info"),
)  # fmt: skip

GESTURES: tuple[Gesture, ...] = (
    Gesture("Alt held, right button", TOOLS, "Erase with the brush"),
    Gesture("Shift+wheel", TOOLS, "Size of the brush"),
    Gesture("Space held, middle button", VIEW, "Move the image"),
    Gesture("Wheel, two fingers", VIEW, "Zoom at the pointer"),
    Gesture("Arrows", VIEW, "Move the image"),
    Gesture("Left, Right in the list", VIEW, "Fold and unfold a stack"),
    Gesture("H held", VIEW, "The image alone"),
    Gesture("Enter", TOOLS, "Close a shape"),
    Gesture("Esc", TOOLS, "Drop a shape, take back the stroke under way; else close the newest message"),
)


def rich_tip(name: str, key: str, tip: str) -> str:
    """Return a tooltip: what it is and its key, and below that what it does, in lines that are not too long."""
    head = f"<b>{escape(name)}</b>" + f"&nbsp;&nbsp;{escape(key)}" * bool(key)
    lines = [] if tip == name else [escape(line) for line in textwrap.wrap(tip, TIP_WIDTH)]
    return f"<p style='white-space:pre'>{'<br>'.join([head, *lines])}</p>"


def class_specs() -> Iterator[ActionSpec]:
    """Yield the number keys. They follow the order of the list, which begins with background, by habit."""
    for n in range(10):
        what = "Background" if n == 0 else f"Class {n}"
        place = "first class of the list" if n == 0 else f"class number {n} after the first of the list"
        yield ActionSpec(f"class_{n}", what, (str(n),), LABEL, f"Paint with the {place}")


class ActionTable(QObject):
    """All actions of the window, by id. Their keys work whichever panel has the focus, except while typing.

    Parameters
    ----------
    window : QWidget
        The actions are added to it, so their shortcuts belong to it.

    Signals
    -------
    keys_changed()
        The person has given actions other keys.
    """

    keys_changed = Signal()

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.specs: dict[str, ActionSpec] = {}
        self._actions: dict[str, QAction] = {}
        for spec in (*SPECS, *class_specs()):
            self.add(spec)

    def add(self, spec: ActionSpec) -> QAction:
        """Make the action of a row."""
        action = QAction(spec.text, self._window)
        action.setObjectName(spec.id)
        action.setCheckable(spec.checkable)
        action.setAutoRepeat(spec.repeats)
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        if spec.icon:
            action.setIcon(theme.icon(spec.icon, "tool" if spec.group == TOOLS else "text"))
        action.setIconVisibleInMenu(False)
        self.specs[spec.id] = spec
        self._actions[spec.id] = action
        self._window.addAction(action)
        self._set_keys(spec.id, list(spec.keys))
        return action

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def on(self, name: str, slot: Callable[..., object]) -> None:
        """Connect an action: ``toggled`` of a checkable one, ``triggered`` of others, without arguments."""
        action = self._actions[name]
        if action.isCheckable():
            action.toggled.connect(slot)
        else:
            action.triggered.connect(lambda _checked=False: slot())

    def keys(self, name: str) -> list[str]:
        """Return the keys of an action in portable form."""
        portable = QKeySequence.SequenceFormat.PortableText
        return [sequence.toString(portable) for sequence in self._actions[name].shortcuts()]

    def shown_keys(self, name: str) -> str:
        """Return the first key as the person's system writes it, empty when there is none."""
        return self._actions[name].shortcut().toString(QKeySequence.SequenceFormat.NativeText)

    def set_keys(self, chosen: dict[str, list[str]]) -> None:
        """Give actions the keys that the person has chosen; all others have their default keys.

        A default key that was chosen for something else is left out: a key of two actions would do neither.
        """
        taken = {QKeySequence(key).toString() for name, keys in chosen.items() if name in self.specs for key in keys}
        for name, spec in self.specs.items():
            free = [key for key in spec.keys if QKeySequence(key).toString() not in taken]
            self._set_keys(name, chosen.get(name, free))
        self.keys_changed.emit()

    def conflict(self, name: str, key: str) -> str:
        """Return the action that has this key already, empty when it is free."""
        wanted = QKeySequence(key)
        for other, action in self._actions.items():
            if other != name and any(wanted == sequence for sequence in action.shortcuts()):
                return other
        return ""

    def _set_keys(self, name: str, keys: list[str]) -> None:
        action, spec = self._actions[name], self.specs[name]
        action.setShortcuts([QKeySequence(key) for key in keys])
        shown = self.shown_keys(name)
        action.setToolTip(rich_tip(spec.text.rstrip("…"), shown, spec.tip))
        action.setWhatsThis(f"{spec.tip} ({shown})" if shown else spec.tip)  # the same for screen readers
        action.setStatusTip("")
