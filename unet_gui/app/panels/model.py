"""The model: which one, how good it is, training and segmenting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QWidget

from unet_gui.app.actions import ActionTable
from unet_gui.app.panels.curves import Curves
from unet_gui.app.widgets import (
    Elided,
    Section,
    action_button,
    button,
    deaf_for_a_moment,
    explain,
    follow,
    label,
    row,
    unwheeled,
)

VALIDATION = (
    "Score of the model that is chosen here, the way it predicts,\non images that its training held back to judge it"
)
AGREEMENT = (
    "The prediction of an image before you labelled it, compared with\nits label when you pressed Done and next. "
    "Dice 1 is the same area.\nImages accepted unchanged within 3 seconds are left out.\n"
    "It says how much is left to correct, not that all is right."
)


@dataclass(frozen=True)
class ModelFacts:
    """What the panel shows of a model.

    Attributes
    ----------
    path : Path
    name : str
    kind : str
        Recipe and size, e.g. ``fast · 0.84 M``.
    plan : tuple of str
        What its training chose by itself, and why.
    validation : str
        On what it was tried, e.g. ``Validation (4 images)``.
    score : str
        E.g. ``Rand F 0.968``.
    problem : str
        Why it cannot be used; empty when it can.
    caution : str
        Why the score says little, or why there is none; empty when it is to be trusted.
    state : str
        That its training was cut; empty when it was not.
    """

    path: Path
    name: str
    kind: str = ""
    validation: str = ""
    score: str = ""
    problem: str = ""
    plan: tuple[str, ...] = ()
    caution: str = ""
    state: str = ""


class ModelSection(Section):
    """Choice of the model, its facts, curves, buttons.

    Attributes
    ----------
    button_bar : QWidget
        The buttons, for a place where they are always in sight.

    Signals
    -------
    model_chosen(Path)
        Use this model.
    settings_wanted(), stop_wanted()
    plan_wanted(str)
        Tell what the training chose by itself, and why.
    """

    model_chosen = Signal(object)
    settings_wanted = Signal()
    stop_wanted = Signal()
    plan_wanted = Signal(str)

    def __init__(self, actions: ActionTable, parent: QWidget | None = None) -> None:
        self._settings = button("Settings", "link")
        explain(self._settings, actions["model_settings"])
        self.why = button("Why?", "link", "What the training chose by itself, and why")
        self.why.hide()
        super().__init__("Model", self.why, self._settings, parent=parent)
        self._plan = ""
        self._models: list[ModelFacts] = []
        self.combo = self._make_combo()
        self._kind = label("", "")
        self._score = label("", "")
        self._validation = Elided("", "muted")
        self._kind_name = label("Recipe", "muted")
        self._hint = label("", "muted", wrap=True)
        facts = QGridLayout()
        facts.setHorizontalSpacing(8)
        facts.setVerticalSpacing(4)
        for at, (name, value) in enumerate(((self._kind_name, self._kind), (self._validation, self._score))):
            facts.addWidget(name, at, 0)
            facts.addWidget(value, at, 1)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        facts.setColumnStretch(0, 1)
        self.curves = Curves()
        self.curves.hide()
        self.train_button = action_button(actions, "train")
        self.stop_button = button("Stop training", "", "Stop the training alone; the best model so far is kept")
        self.stop_button.hide()
        self.segment_button = action_button(actions, "segment")
        self.live_box = QCheckBox(actions["live"].text())
        self.live_box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        follow(self.live_box, actions["live"])
        self._live_state = label("", "muted", wrap=True)
        self._live_state.hide()
        self.body.addWidget(self.combo)
        self.body.addWidget(self.live_box)
        self.body.addWidget(self._live_state)
        self.body.addLayout(facts)
        self.body.addWidget(self._hint)
        self.body.addWidget(self.curves)
        self.button_bar = self._make_button_bar()
        self._live_action = actions["live"]
        self.live_box.clicked.connect(self._live_action.trigger)
        self._settings.clicked.connect(self.settings_wanted)
        self.stop_button.clicked.connect(self.stop_wanted)
        self.why.clicked.connect(lambda: self.plan_wanted.emit(self._plan))
        self.combo.activated.connect(self._on_chosen)
        self.set_models([], None)

    def _make_combo(self) -> QComboBox:
        combo = QComboBox()
        unwheeled(combo)
        combo.setAccessibleName("Model")
        combo.setToolTip("The model that predicts; trained ones are kept in the folder's .unet-gui/models")
        combo.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(8)
        return combo

    def _make_button_bar(self) -> QWidget:
        buttons = row(self.train_button, self.stop_button, self.segment_button)
        buttons.setContentsMargins(12, 10, 12, 10)
        for at in range(3):
            buttons.setStretch(at, 1)
        bar = QWidget()
        bar.setProperty("role", "bar")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        bar.setLayout(buttons)
        return bar

    def set_models(self, models: list[ModelFacts], current: Path | None) -> None:
        """Show these models, the newest first."""
        self._models = models
        with QSignalBlocker(self.combo):
            self.combo.clear()
            for facts in models:
                self.combo.addItem(f"{facts.name}: {facts.state}" if facts.state else facts.name, str(facts.path))
                self.combo.setItemData(self.combo.count() - 1, str(facts.path), Qt.ItemDataRole.ToolTipRole)
            at = next((n for n, facts in enumerate(models) if facts.path == current), -1)
            self.combo.setCurrentIndex(at)
        self.combo.setVisible(bool(models))
        self._show(models[at] if at >= 0 else None)

    def set_training(self, training: bool) -> None:
        """Show the button that fits."""
        gone, there = (self.train_button, self.stop_button) if training else (self.stop_button, self.train_button)
        gone.hide()  # first: with all of them for a moment the panel would become wider, and stay so
        if there.isHidden():
            there.show()
            deaf_for_a_moment(there)  # the second half of a double click would take back what the first began
        self._show_hint()
        if not training:
            self.curves.end()
        self.curves.setVisible(training or bool(self.curves.loss))

    @Slot(bool)
    def set_live(self, on: bool) -> None:
        """Show whether it learns while somebody paints."""
        self._live_action.setChecked(on)
        self.live_box.setChecked(on)
        self.stop_button.setText("Stop learning" if on else "Stop training")

    @Slot(str)
    def tell_live(self, text: str) -> None:
        """Show what it does meanwhile."""
        self._live_state.setText(text)
        self._live_state.setVisible(bool(text))

    def _show_hint(self) -> None:
        """Show what to do, but not to somebody who is doing it."""
        self._hint.setVisible(bool(self._hint.text()) and self.stop_button.isHidden())

    def set_plan(self, text: str) -> None:
        """Know what the training chose by itself and why; it is shown when the person asks."""
        self._plan = text
        self.why.setVisible(bool(text))

    def _show(self, facts: ModelFacts | None) -> None:
        hint = ""
        if facts is None:
            hint = "No model yet: train one. It needs a little of every class, labelled in one image or more."
        else:
            cut = "Its training was cut before its end." if facts.state else ""
            hint = facts.problem or f"{cut} {facts.caution}".strip()
        self.set_plan("\n".join(facts.plan) if facts else "")
        self._hint.setText(hint)
        self._show_hint()
        self._kind.setText(facts.kind if facts else "")
        self._score.setText(facts.score if facts else "")
        self._validation.set_text(facts.validation if facts else "")
        self._validation.setToolTip(f"{self._validation.text()}\n{VALIDATION}")
        for widget in (self._kind_name, self._kind):
            widget.setVisible(bool(facts and facts.kind))
        for shown in (self._validation, self._score):
            shown.setVisible(bool(facts and facts.score))

    @Slot(int)
    def _on_chosen(self, at: int) -> None:
        if 0 <= at < len(self._models):
            self._show(self._models[at])
            self.model_chosen.emit(self._models[at].path)


class ProgressSection(Section):
    """How far predictions agreed with what the person made of them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Agreement with you", parent=parent)
        self.setToolTip(AGREEMENT)
        self._text = label("", "muted", wrap=True)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(0, 1)
        self.body.addWidget(self._text)
        self.body.addLayout(self._grid)
        self._rows: list[tuple[Elided, QLabel]] = []
        self.hide()

    def set_scores(self, text: str, rows: list[tuple[str, str]]) -> None:
        """Show names and values."""
        self._text.setText(text)
        for at in range(len(self._rows), len(rows)):
            pair = (Elided("", "muted"), label())
            pair[1].setAlignment(Qt.AlignmentFlag.AlignRight)
            self._rows.append(pair)
            self._grid.addWidget(pair[0], at, 0)
            self._grid.addWidget(pair[1], at, 1)
        for at, (name, value) in enumerate(self._rows):
            name.setVisible(at < len(rows))
            value.setVisible(at < len(rows))
            if at < len(rows):
                name.set_text(rows[at][0])
                value.setText(rows[at][1])
        self.setVisible(bool(rows))
