"""Panels and dialogs on their own: what they show and what they say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMainWindow, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from unet_gui.app import theme
from unet_gui.app.actions import ActionTable
from unet_gui.app.canvas.display import ChannelDisplay, Display
from unet_gui.app.dialogs.forms import EncodingDialog, ModelDialog, SettingsDialog
from unet_gui.app.dialogs.shortcuts import ShortcutsDialog
from unet_gui.app.model_facts import Wishes
from unet_gui.app.panels.classes import HIDDEN, ID, ClassesSection
from unet_gui.app.panels.curves import Curves
from unet_gui.app.panels.layers import LayersSection
from unet_gui.app.panels.model import ModelFacts, ModelSection, ProgressSection
from unet_gui.app.panels.stage import Chips
from unet_gui.app.panels.status_bar import StatusLine, duration
from unet_gui.app.settings import Settings
from unet_gui.core.labels import UNLABELLED, Over
from unet_gui.core.palette import ClassInfo, default_classes
from unet_gui.core.project import Dataset
from unet_gui.core.store import BINARY, Encoding

# --- classes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def classes(qtbot: QtBot, window: QMainWindow) -> ClassesSection:
    section = ClassesSection()
    window.setCentralWidget(section)
    section.set_classes(default_classes(3))
    window.show()
    return section


def test_classes_and_the_row_for_unlabelled(classes: ClassesSection) -> None:
    rows = [classes.list.item(n) for n in range(classes.list.count())]
    assert [row.data(ID) for row in rows] == [0, 1, 2, UNLABELLED]
    said: list[int] = []
    classes.chosen.connect(said.append)
    classes.list.setCurrentRow(2)
    classes.list.setCurrentRow(3)
    assert said == [2, UNLABELLED]
    classes.set_current(1)
    assert said == [2, UNLABELLED], "following the session chooses nothing"
    assert classes.list.currentRow() == 1


def test_renaming_by_typing(qtbot: QtBot, classes: ClassesSection) -> None:
    said: list[tuple[int, str]] = []
    classes.renamed.connect(lambda class_id, name: said.append((class_id, name)))
    classes.edit(2)
    editor = classes.list.findChild(QLineEdit)
    assert editor is not None
    editor.selectAll()
    QTest.keyClicks(editor, "vesicle 1")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: said == [(2, "vesicle 1")])
    classes.list.item(2).setText("   ")
    assert said == [(2, "vesicle 1")], "a class needs a name"


def test_many_classes_can_be_searched(classes: ClassesSection) -> None:
    assert not classes.search.isVisible()
    classes.set_classes([ClassInfo(n, f"kind {n}", "#112233") for n in range(255)])
    assert classes.search.isVisible()
    classes.search.setText("kind 20")
    assert [classes.list.item(n).data(ID) for n in range(classes.list.count())] == [
        20,
        *range(200, 210),
        UNLABELLED,
    ]


def test_hiding_a_class(classes: ClassesSection) -> None:
    said: list[frozenset[int]] = []
    classes.hidden_changed.connect(said.append)
    classes._toggle(1)
    assert said == [frozenset({1})]
    assert classes.list.item(1).data(HIDDEN)
    classes._toggle(1)
    assert said[-1] == frozenset()


# --- layers -----------------------------------------------------------------------------------------------------------


def test_opacity_and_contrast(qtbot: QtBot, window: QMainWindow, actions: ActionTable) -> None:
    layers = LayersSection(actions)
    window.setCentralWidget(layers)
    with qtbot.waitSignal(layers.settings_changed) as said:
        layers._label[1].setValue(75)
    assert said.args[0].label_opacity == 0.75
    layers.set_display(Display((ChannelDisplay(100, 4000),)), (0, 8000))
    with qtbot.waitSignal(layers.display_changed) as said:
        layers._low[0].setValue(250)
    assert said.args[0].channels[0].low == 2000
    assert said.args[0].channels[0].high == 4000
    with qtbot.waitSignal(layers.display_changed) as said:
        layers._low[0].setValue(900)
    low, high = said.args[0].channels[0].low, said.args[0].channels[0].high
    assert low == 7200
    assert high > low, "black pushes white before it"
    with qtbot.waitSignal(layers.display_changed) as said:
        layers._gamma[0].setValue(1000)
    assert said.args[0].channels[0].gamma == 4.0
    with qtbot.waitSignal(layers.reset_wanted):
        layers._reset.click()


def test_channels_can_be_hidden_and_recoloured(qtbot: QtBot, window: QMainWindow, actions: ActionTable) -> None:
    layers, after = LayersSection(actions), QPushButton("after")
    both = QWidget()
    column = QVBoxLayout(both)
    column.addWidget(layers)
    column.addWidget(after)
    window.setCentralWidget(both)
    layers.set_display(Display((ChannelDisplay(),)), (0, 255))
    assert layers._channels == [], "a grey picture has no choice"
    three = tuple(ChannelDisplay(color=color) for color in ("#ff0000", "#00ff00", "#0000ff"))
    layers.set_display(Display(three), (0, 255))
    assert len(layers._channels) == 3
    assert layers._gamma[0].nextInFocusChain() is layers._channels[0], "by Tab, too, they come where they stand"
    said: list[Display] = []
    layers.display_changed.connect(said.append)
    layers._channels[1].click()
    layers.set_channel_color(2, "#ff00ff")
    assert [channel.visible for channel in said[-1].channels] == [True, False, True]
    assert said[-1].channels[2].color == "#ff00ff"


# --- model ------------------------------------------------------------------------------------------------------------


def test_model_facts(qtbot: QtBot, window: QMainWindow, actions: ActionTable) -> None:
    section = ModelSection(actions)
    window.setCentralWidget(section)
    window.show()
    assert "No model yet" in section._hint.text()
    assert not section._hint.isHidden()
    section.set_training(True)
    assert section._hint.isHidden(), "it does not ask for what is being done"
    section.set_training(False)
    assert not section._hint.isHidden()
    facts = [
        ModelFacts(Path("b.safetensors"), "b", "fast · 0.84 M", "Validation (4 images)", "Rand F 0.968", plan=("x",)),
        ModelFacts(Path("a.safetensors"), "a", problem="“a” is damaged."),
        ModelFacts(
            Path("c"), "c", "fast", "Validation (1 image)", "Dice 0.9", caution="From one image: a rough guide."
        ),
    ]
    section.set_models(facts, Path("b.safetensors"))
    assert section.combo.currentText() == "b"
    assert section._score.text() == "Rand F 0.968"
    assert section.why.isVisible()
    with qtbot.waitSignal(section.model_chosen) as said:
        section.combo.setCurrentIndex(1)
        section.combo.activated.emit(1)
    assert said.args == [Path("a.safetensors")]
    assert "damaged" in section._hint.text()
    section.set_models(facts, Path("c"))
    assert (section._score.text(), section._hint.text()) == ("Dice 0.9", "From one image: a rough guide.")
    assert section._hint.isVisible()
    section.set_training(True)
    assert section.train_button.isHidden()
    assert section.stop_button.isVisibleTo(section.button_bar)
    assert section.curves.isVisible()
    section.set_training(False)
    assert not section.curves.isVisible(), "nothing was learned, so there is nothing to see"


def test_the_buttons_never_need_more_room_for_a_moment(qtbot: QtBot, window: QMainWindow) -> None:
    section = ModelSection(ActionTable(window))
    qtbot.addWidget(section.button_bar)
    section.button_bar.show()
    least = [section.button_bar.minimumSizeHint().width()]
    for training in (True, False):
        section.set_training(training)
        least.append(section.button_bar.minimumSizeHint().width())
    section.button_bar.resize(max(least), section.button_bar.height())
    for training in (True, False):
        section.set_training(training)
        assert section.button_bar.width() == max(least), "the panel would become wider, and the image smaller"


def test_curves_grow_and_start_again(qtbot: QtBot) -> None:
    curves = Curves()
    qtbot.addWidget(curves)
    curves.resize(260, 128)
    curves.show()
    for n in range(5000):
        curves.loss.append((n, 1 / (n + 1)))
    curves.add_loss(5000, 0.1)
    curves.add_score(10, 0.5, "Dice")
    assert len(curves.loss) <= 2600
    assert (curves.loss_text.text(), curves.score_text.text()) == ("loss 0.1", "now Dice 0.500")
    assert not curves.loss_text.geometry().intersects(curves.score_text.geometry())
    curves.retheme()
    curves.grab()
    curves.end()
    assert (curves.loss_text.text(), curves.score_text.text()) == ("Last training", ""), "the model says its own score"
    curves.clear()
    assert curves.loss == []
    assert (curves.loss_text.text(), curves.score_text.text()) == ("Starting…", "")
    curves.close()


def test_progress_section_shows_only_what_is_known(qtbot: QtBot) -> None:
    section = ProgressSection()
    qtbot.addWidget(section)
    assert section.isHidden()
    section.set_scores("On the last 6 images", [("Dice a", "0.81 ± 0.03"), ("Time per image", "38 s")])
    assert not section.isHidden()
    section.set_scores("", [])
    assert section.isHidden()


# --- bars -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (math.inf, ""), (0, "0:00"), (42.4, "0:42"), (725, "12:05"), (3723, "1:02:03"), (-3, "0:00")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_status_line(qtbot: QtBot, window: QMainWindow, actions: ActionTable) -> None:
    status = StatusLine(actions["stop"])
    window.setStatusBar(status)
    window.show()
    status.set_idle("Labels: index")
    assert not status.bar.isVisible()
    status.set_job("Training", "Rand F 0.96", 0.25, 70)
    assert status.text._text == "Rand F 0.96 · 1:10 left"
    assert status.bar.value() == 250
    assert status.stop.isVisible()
    status.say("nothing is predicted here")
    status.set_job("Training", "Rand F 0.97", 0.5, 70)
    assert status.text._text == "nothing is predicted here", "for a moment, beside the bar"
    assert status.bar.isVisible()
    assert status.job.text() == "Training"
    status.forget()
    assert status.text._text == "Rand F 0.97 · 1:10 left"
    status.set_job("Predicting", "starting")
    assert status.bar.maximum() == 0, "busy without a known end"
    status.set_job("")
    assert status.text._text == "Labels: index"
    assert not status.stop.isVisible()


def test_what_runs_has_the_place_of_the_image_in_a_narrow_window(
    qtbot: QtBot, window: QMainWindow, actions: ActionTable
) -> None:
    status = StatusLine(actions["stop"])
    window.setStatusBar(status)
    window.resize(900, 100)
    window.show()
    status.set_image("0001TP_006690.png · 480×360 · 8-bit")
    status.device.set_text("cpu")
    status.place.setText("x 280 y 39")
    status.value.setText("188, 218, 228")
    assert status.image.isVisible()
    status.set_job("Segmenting", "3 of 14 images", 0.2, 12)
    assert not status.image.isVisible()
    qtbot.waitUntil(lambda: all(part.width() >= part.sizeHint().width() for part in (status.job, status.text)))
    window.resize(1200, 100)
    qtbot.waitUntil(status.image.isVisible)
    window.resize(900, 100)
    qtbot.waitUntil(lambda: not status.image.isVisible())
    status.set_job("")
    assert status.image.isVisible()


def test_chips_tell_class_size_and_rule(qtbot: QtBot, window: QMainWindow) -> None:
    chips = Chips(window)
    chips.set_classes(default_classes(2))
    chips.set_class(1, "object", "#E69F00")
    chips.set_size(22, False, True)
    chips.set_over(Over.UNLABELLED)
    assert chips.class_chip.text().strip() == "object"
    assert chips.size_chip.text() == "Brush 22 px"
    assert chips.over_chip.text() == "Paint over: unlabelled only"
    chips.set_over(Over("classes", frozenset({0, 255})))
    assert chips.over_chip.text() == "Paint over: background, unlabelled"
    said: list[Over] = []
    chips.over_chosen.connect(said.append)
    chips._choose_classes(frozenset({1}))
    chips._choose_classes(frozenset())
    assert said == [Over("classes", frozenset({1})), Over.ALL]


@pytest.mark.parametrize(
    "text", ["Labels: binary, 0 = class 0 and 255 = class 1.", "x", "Wörter, die 3 × 4 breit sind …"]
)
def test_a_text_that_has_room_is_not_cut(qtbot: QtBot, window: QMainWindow, actions: ActionTable, text: str) -> None:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, theme.DARK)  # the style sheet puts something around texts
    status = StatusLine(actions["stop"])
    window.setStatusBar(status)
    window.resize(1400, 300)
    window.show()
    status.set_idle(text)
    status.layout().activate()  # type: ignore[union-attr]
    metrics, room = status.text.fontMetrics(), status.text.contentsRect().width()
    assert metrics.elidedText(text, Qt.TextElideMode.ElideRight, room) == text


# --- actions and dialogs ----------------------------------------------------------------------------------------------


def test_shortcuts_can_be_searched(qtbot: QtBot, window: QMainWindow, actions: ActionTable) -> None:
    dialog = ShortcutsDialog(actions, window)
    everything = dialog._sieve.rowCount()
    assert everything > 60
    for text, expected in (("ctrl+t", "Train"), ("prediction", "Take over prediction"), ("pointer", "Zoom")):
        dialog.field.setText(text)
        rows = [dialog._sieve.index(n, 0).data() for n in range(dialog._sieve.rowCount())]
        assert 0 < len(rows) < everything
        assert any(expected in row for row in rows), (text, rows)
    dialog.close()


def test_keys_can_be_changed_conflicts_are_said_and_defaults_come_back(
    qtbot: QtBot, window: QMainWindow, actions: ActionTable
) -> None:
    settings = Settings()
    dialog = ShortcutsDialog(actions, window)
    dialog.keys_wanted.connect(settings.set_shortcut)
    settings.changed.connect(lambda _name: actions.set_keys(settings.shortcuts()))
    dialog.field.setText("Train")
    dialog.table.setCurrentIndex(dialog._sieve.index(0, 0))
    assert dialog._chosen() == "train"
    dialog._edit.setKeySequence(QKeySequence("B"))
    assert "Brush" in dialog._say.text()
    dialog._edit.setKeySequence(QKeySequence("Ctrl+Alt+9"))
    assert dialog._say.text() == actions.specs["train"].tip, "that key is free"
    dialog._edit.setKeySequence(QKeySequence("B"))
    dialog._on_use()
    assert actions.keys("train") == ["B"]
    assert actions.keys("tool_brush") == []
    assert Settings().shortcuts() == {"train": ["B"], "tool_brush": []}
    brush = next(row for row in range(dialog._model.rowCount()) if dialog._model.item(row).text() == "Brush")
    dialog.field.clear()
    dialog.table.setCurrentIndex(dialog._sieve.mapFromSource(dialog._model.index(brush, 0)))
    dialog._on_default()
    assert actions.keys("tool_brush") == ["B"], "the default key is taken back from the action that has it"
    assert actions.keys("train") == []
    asked: list[str] = []
    dialog.keys_wanted.connect(lambda name, _keys: asked.append(name))
    dialog._on_all()
    assert asked == ["train"], "with every action asked for, the window stood still for seconds"
    assert actions.keys("train") == ["Ctrl+T"]
    assert actions.keys("tool_brush") == ["B"]
    assert Settings().shortcuts() == {}
    dialog.close()


def test_no_key_does_two_things(actions: ActionTable, window: QMainWindow) -> None:
    """Neither by default, nor when the person chooses the default key of another action."""
    for name in actions.specs:
        for key in actions.keys(name):
            assert not actions.conflict(name, key), (name, key)
    actions.set_keys({"train": ["B"], "predict": ["X", "Ctrl+Z"]})
    assert actions.keys("tool_brush") == actions.keys("swap") == actions.keys("undo") == []
    actions.set_keys({"train": ["B"], "predict": ["B"]})  # a settings file may say so
    dialog = ShortcutsDialog(actions, window)
    texts = [dialog._model.item(row, 1).text() for row in range(dialog._model.rowCount())]
    assert {"B  ⚠ also Predict this image", "B  ⚠ also Train"} <= set(texts)
    dialog.close()


def test_every_action_can_have_another_key(actions: ActionTable, window: QMainWindow) -> None:
    settings = Settings()
    dialog = ShortcutsDialog(actions, window)
    dialog.keys_wanted.connect(settings.set_shortcut)
    settings.changed.connect(lambda _name: actions.set_keys(settings.shortcuts()))
    shown = {dialog._model.item(row).data(int(Qt.ItemDataRole.UserRole)) for row in range(dialog._model.rowCount())}
    assert shown - {""} == set(actions.specs)
    for number, name in enumerate(actions.specs):
        key = f"Meta+Ctrl+{chr(ord('A') + number % 26)}, {chr(ord('A') + number // 26)}"
        dialog.keys_wanted.emit(name, [key])
        assert actions.keys(name) == [key]
    dialog._on_all()
    assert all(
        actions.keys(name) == [QKeySequence(k).toString() for k in spec.keys] for name, spec in actions.specs.items()
    )
    dialog.close()


def test_settings_are_kept(qtbot: QtBot, window: QMainWindow, tmp_path: Path) -> None:
    settings = Settings()
    assert (settings.get("theme"), settings.get("autosave")) == ("system", True)
    dialog = SettingsDialog(settings, window)
    dialog._theme.setCurrentIndex(dialog._theme.findData("light"))
    dialog._autosave.setChecked(False)
    settings.sync()
    again = Settings()
    assert (again.get("theme"), again.get("autosave")) == ("light", False)
    for n in range(12):
        settings.remember(tmp_path / str(n))
    settings.remember(tmp_path / "5")
    assert settings.recent()[:2] == [tmp_path / "5", tmp_path / "11"]
    assert len(settings.recent()) == 8
    dialog.close()


def test_a_folder_named_as_seen_from_here_is_found_from_elsewhere(
    qtbot: QtBot, window: QMainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    settings.remember(Path("b"))
    monkeypatch.chdir(tmp_path.parent)
    settings.remember(tmp_path / "b")
    assert settings.recent() == [tmp_path / "b"]


def test_model_settings(qtbot: QtBot, window: QMainWindow) -> None:
    dialog = ModelDialog(Wishes(model="models/x.safetensors"), ["cuda:1"], window)
    assert dialog._device.findData("cuda:1") >= 0
    dialog._recipe.setCurrentIndex(dialog._recipe.findData("tutorial"))
    assert not dialog._minutes.isEnabled()
    with qtbot.waitSignal(dialog.chosen) as said:
        dialog._on_ok()
    assert said.args[0] == Wishes(recipe="tutorial", model="models/x.safetensors")


def test_the_encoding_is_shown_and_changed(qtbot: QtBot, window: QMainWindow, tmp_path: Path) -> None:
    dataset = Dataset.open(write_folder(tmp_path / "x"))
    dialog = EncodingDialog(dataset, window)
    said: list[Encoding] = []
    dialog.chosen.connect(said.append)
    dialog._unlabelled.setValue(11)
    dialog._on_ok()
    assert said == [dataset.encoding.with_unlabelled(11)]
    again = EncodingDialog(dataset, window)
    again.chosen.connect(said.append)
    again._kind.setCurrentIndex(again._kind.findData("binary"))
    again._on_ok()
    assert said[-1] == BINARY
    last = EncodingDialog(dataset, window)
    last.chosen.connect(said.append)
    last._on_ok()
    assert len(said) == 2, "what has not changed is not chosen"
    for each in (dialog, again, last):
        each.close()


def test_wishes_survive_strange_files() -> None:
    assert Wishes.from_json(Wishes(minutes=2.5, tta=True).to_json()) == Wishes(minutes=2.5, tta=True)
    assert Wishes.from_json({"minutes": "many", "recipe": 7, "unknown": 1}) == Wishes()
    assert Wishes.from_json([1, 2]) == Wishes()
