"""The list of images: order, filter, stacks, statuses, thumbnails, and a hundred thousand rows."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester, QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from unet_gui.app import thumbnails as thumbnails_module
from unet_gui.app.image_list import STATE, THUMBNAIL, ImageListModel
from unet_gui.app.panels.images import READABLE, ImagesPanel, shortened
from unet_gui.app.status_book import StatusBook
from unet_gui.app.thumbnails import Thumbnails
from unet_gui.core import images as images_module
from unet_gui.core import png
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset, Status


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = write_folder(tmp_path / "x", images=12, labels=3)
    (folder / "labels" / "3.png").write_bytes(png.encode(np.full((60, 80), 255, np.uint8)))
    partial = np.full((60, 80), 255, np.uint8)
    partial[:5] = 1
    (folder / "labels" / "4.png").write_bytes(png.encode(partial))
    (folder / "labels" / "5.png").write_bytes(b"broken")
    return Dataset.open(folder)


@pytest.fixture
def book(qtbot: QtBot, dataset: Dataset) -> Iterator[StatusBook]:
    dataset.save_prediction(dataset.images[6], np.zeros((60, 80), np.uint8))
    book = StatusBook(dataset)
    with qtbot.waitSignal(book.scanned):
        book.scan(dataset.images)
    yield book
    book.close()


@pytest.fixture
def panel(qtbot: QtBot, dataset: Dataset, book: StatusBook) -> Iterator[ImagesPanel]:
    panel = ImagesPanel()
    qtbot.addWidget(panel)
    panel.resize(230, 400)
    panel.set_folder(dataset, book)
    panel.show()
    yield panel
    panel.model.thumbnails.close()


def names(model: ImageListModel) -> list[str]:
    return [model.data(model.index(row)) for row in range(model.rowCount())]


def test_statuses_are_derived_from_the_labels(dataset: Dataset, book: StatusBook) -> None:
    known = [book.status(ref.key) for ref in dataset.images]
    assert known[:5] == [Status.DONE, Status.DONE, Status.DONE, Status.UNTOUCHED, Status.PARTIAL]
    assert list(book.problems) == ["5.png"]
    assert book.problem("5.png").startswith("“5.png” is damaged")
    assert book.predicted("6.png")
    assert not book.predicted("7.png")


def test_news_from_the_saver_is_newer_than_a_scan_under_way(qtbot: QtBot, dataset: Dataset, book: StatusBook) -> None:
    with qtbot.waitSignal(book.scanned):
        book.scan(dataset.images)
        book.set("7.png", Status.PARTIAL)
    assert book.status("7.png") == Status.PARTIAL


def test_a_prediction_made_during_a_scan_is_known(qtbot: QtBot, dataset: Dataset, book: StatusBook) -> None:
    with qtbot.waitSignal(book.scanned):
        book.scan(dataset.images)
        book.set_predicted("7.png")
        book.set_predicted("6.png", False)
    assert book.predicted("7.png")
    assert not book.predicted("6.png")


def test_a_label_saved_during_a_scan_hides_no_prediction(qtbot: QtBot, dataset: Dataset, book: StatusBook) -> None:
    dataset.save_prediction(dataset.images[7], np.zeros((60, 80), np.uint8))
    with qtbot.waitSignal(book.scanned):
        book.scan(dataset.images)
        book.set("7.png", Status.PARTIAL)
    assert book.predicted("7.png")
    assert book.status("7.png") == Status.PARTIAL


def test_a_later_scan_sees_what_became_of_a_saved_label(qtbot: QtBot, dataset: Dataset, book: StatusBook) -> None:
    with qtbot.waitSignal(book.scanned):
        book.scan(dataset.images)
        book.set("7.png", Status.DONE)  # it was saved, and then a class was removed
        book.scan(dataset.images)
    assert book.status("7.png") == Status.UNTOUCHED


def test_nothing_is_said_of_images_that_nobody_has_looked_at(
    qtbot: QtBot, panel: ImagesPanel, dataset: Dataset
) -> None:
    book = StatusBook(dataset)
    panel.set_folder(dataset, book)
    book.set_predicted("7.png")
    rows = [panel.model.index(row) for row in range(panel.model.rowCount())]
    assert [row.data(STATE) for row in rows] == [""] * 7 + ["predicted"] + [""] * 4
    assert rows[0].data(Qt.ItemDataRole.ToolTipRole) == "0.png"
    assert panel.footer.text() == "1\xa0predicted\xa0· …"
    told: list[tuple[int, int]] = []
    panel.model.dataChanged.connect(lambda first, last, _roles: told.append((first.row(), last.row())))
    with qtbot.waitSignal(book.scanned):
        book.scan(dataset.images)
    assert [row.data(STATE) for row in rows].count("untouched") == 6
    assert "6\xa0untouched" in panel.footer.text()
    assert (0, 11) in told
    book.close()


def test_the_footer_counts_what_the_rows_say(panel: ImagesPanel, dataset: Dataset, book: StatusBook) -> None:
    book.set_predicted("0.png")  # a label counts for more than a prediction
    book.set_predicted("7.png")
    book.set_damaged("8.png", "is damaged")
    book.set_damaged("1.png", "is damaged")  # and what is wrong with an image for more than its label
    said = Counter(panel.model.state_text(ref) for ref in dataset.images)
    assert said == {"done": 2, "partial": 1, "predicted": 2, "untouched": 4, "problem": 3}
    text = "2 done · 1 partial · 2 predicted · 4 untouched · 3 problems"
    said_parts = [part.replace(" ", "\xa0") for part in text.split(" · ")]
    assert panel.footer.text().replace("\xa0", " ") == text
    assert panel.footer.text().split(" ") == [f"{part}\xa0·" for part in said_parts[:-1]] + said_parts[-1:]
    room = panel.footer.fontMetrics().horizontalAdvance("2 done · 1 partial")
    panel.resize(max(panel.minimumWidth(), room + 30), 400)
    assert panel.footer.width() < panel.footer.fontMetrics().horizontalAdvance(text), "in several lines"
    assert panel.footer.height() >= panel.footer.heightForWidth(panel.footer.width())


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", 12),
        ("1", 3),
        ("done", 3),
        ("partial", 1),
        ("untouched", 8),
        ("predicted", 1),
        ("problem", 1),
        ("untouched 1", 2),
        ("DONE 2", 1),
        ("nothing like this", 0),
    ],
)
def test_filter_by_name_and_status(panel: ImagesPanel, text: str, rows: int) -> None:
    panel.field.setText(text)
    assert panel.model.rowCount() == rows


def test_names_without_room_for_all_of_them_are_told_apart(panel: ImagesPanel) -> None:
    metrics = panel.list.fontMetrics()
    room = metrics.horizontalAdvance(READABLE)
    names = [f"0001TP_00{number}.png" for number in (6690, 6930, 7190, 7290)]
    shown = [shortened(name, metrics, room) for name in names]
    assert len(set(shown)) == 4
    assert all(metrics.horizontalAdvance(each) <= room for each in shown)
    assert shown[0].startswith("000…")
    assert shortened("0.png", metrics, room) == "0.png"


def test_the_model_keeps_qt_s_rules(qtbot: QtBot, panel: ImagesPanel) -> None:
    QAbstractItemModelTester(panel.model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    panel.field.setText("1")
    panel.field.setText("")
    panel.model.set_pages({"1.png": [ImageRef("1.png", n) for n in range(3)]})
    panel.model.fold("1.png")
    panel.field.setText("page")
    panel.field.setText("")


def test_choosing_a_row_and_following_the_session(panel: ImagesPanel) -> None:
    chosen: list[ImageRef] = []
    panel.chosen.connect(chosen.append)
    panel.select(ImageRef("4.png"))
    assert chosen == [], "following the session chooses nothing"
    assert panel.list.currentIndex().row() == 4
    panel.list.setCurrentIndex(panel.model.index(7))
    assert chosen == [ImageRef("7.png")]


def test_the_chosen_row_stays_chosen_when_pages_appear_and_the_filter_changes(panel: ImagesPanel) -> None:
    panel.select(ImageRef("4.png"))
    panel.set_pages({"1.png": [ImageRef("1.png", n) for n in range(3)]}, ImageRef("4.png"))
    assert names(panel.model)[1:5] == ["1.png", "page 1", "page 2", "page 3"]
    assert panel.model.ref(panel.list.currentIndex()) == ImageRef("4.png")
    assert panel.model.total == 14
    panel.field.setText("4")
    assert panel.model.ref(panel.list.currentIndex()) == ImageRef("4.png")


@pytest.mark.parametrize("way", ["escape", "clear"])
def test_a_filter_without_hits_leaves_the_open_image_open(qtbot: QtBot, panel: ImagesPanel, way: str) -> None:
    chosen: list[ImageRef] = []
    panel.chosen.connect(chosen.append)
    panel.select(ImageRef("4.png"))
    panel.activateWindow()
    panel.field.setFocus()
    QTest.keyClicks(panel.field, "nothing")
    assert panel.model.rowCount() == 0
    if way == "escape":
        QTest.keyClick(panel.field, Qt.Key.Key_Escape)
        assert panel.list.hasFocus()
    else:
        panel.field.clear()
    assert panel.model.ref(panel.list.currentIndex()) == ImageRef("4.png")
    assert chosen == []


def test_a_filter_without_hits_says_so_and_can_be_cleared(panel: ImagesPanel) -> None:
    assert not panel.none_fits.isVisible()
    panel.field.setText("xyz")
    assert panel.none_fits.isVisible()
    assert panel.none_fits.text() == "No image fits “xyz”."
    panel.field.setText("x" * 200)
    assert panel.minimumSizeHint().width() <= panel.minimumWidth(), "the panel can be as narrow as before"
    QTest.mouseClick(panel.clear_filter, Qt.MouseButton.LeftButton)
    assert panel.field.text() == ""
    assert panel.model.rowCount() == 12
    assert not panel.none_fits.isVisible()


def test_coming_into_a_list_without_the_open_image_chooses_nothing(panel: ImagesPanel) -> None:
    chosen: list[ImageRef] = []
    panel.chosen.connect(chosen.append)
    panel.select(ImageRef("4.png"))
    panel.activateWindow()
    panel.field.setText("done")
    panel.list.setFocus()
    assert chosen == []
    QTest.keyClick(panel.list, Qt.Key.Key_Down)
    assert chosen == [ImageRef("0.png")]
    panel.field.setFocus()
    panel.select(ImageRef("4.png"))
    QTest.keyClick(panel.field, Qt.Key.Key_Return)
    assert chosen == [ImageRef("0.png"), ImageRef("0.png")]


def test_the_count_says_what_the_filter_leaves(panel: ImagesPanel) -> None:
    assert (panel.count.text(), panel.count.toolTip()) == ("12", "12 images in this folder")
    panel.field.setText("done")
    assert (panel.count.text(), panel.count.toolTip()) == ("3 of 12", "3 of 12 images fit the filter")
    panel.set_pages({"1.png": [ImageRef("1.png", n) for n in range(3)]}, None)
    assert panel.count.text() == f"{panel.model.rowCount()} of 14"
    panel.field.clear()
    assert panel.count.text() == "14", "the heading of a stack is no image"


def test_pages_are_counted_as_people_count_them(panel: ImagesPanel) -> None:
    model = panel.model
    panel.set_pages({"1.png": [ImageRef("1.png", n) for n in range(3)]}, None)
    index = model.index_of(ImageRef("1.png", 2))
    assert model.data(index) == "page 3"
    assert model.data(index, Qt.ItemDataRole.ToolTipRole).startswith("1.png, page 3\n")
    assert model.data(index, Qt.ItemDataRole.AccessibleTextRole).startswith("1.png, page 3, ")
    panel.field.setText("page 3")
    assert names(model) == ["1.png, page 3"], "there is no heading above it"


def test_a_stack_folds_and_its_heading_is_no_image(panel: ImagesPanel) -> None:
    chosen: list[ImageRef] = []
    panel.chosen.connect(chosen.append)
    panel.set_pages({"1.png": [ImageRef("1.png", n) for n in range(3)]}, None)
    model = panel.model
    assert model.data(model.index(1), STATE) == "3 pages"
    assert model.neighbour(ImageRef("0.png"), 1) == ImageRef("1.png", 0)
    assert model.neighbour(ImageRef("2.png"), -1) == ImageRef("1.png", 2)
    panel.select(ImageRef("2.png"))
    panel.list.clicked.emit(model.index(1))
    assert names(model)[1:3] == ["1.png", "2.png"]
    assert model.ref(panel.list.currentIndex()) == ImageRef("2.png"), "the open image stays marked"
    panel.list.clicked.emit(model.index(1))
    assert model.rowCount() == 15
    assert chosen == []


def test_neighbours_and_the_next_unfinished(panel: ImagesPanel) -> None:
    model = panel.model
    assert model.neighbour(None, 1) == ImageRef("0.png")
    assert model.neighbour(ImageRef("11.png"), 1) is None
    assert model.neighbour(ImageRef("0.png"), -1) is None
    assert model.next_unfinished(ImageRef("0.png")) == ImageRef("3.png")
    assert model.next_unfinished(ImageRef("11.png")) == ImageRef("3.png"), "from the beginning again"


def test_a_stack_is_folded_by_keys(panel: ImagesPanel) -> None:
    chosen: list[ImageRef] = []
    panel.chosen.connect(chosen.append)
    panel.set_pages({"1.png": [ImageRef("1.png", n) for n in range(3)]}, ImageRef("0.png"))
    QTest.keyClick(panel.list, Qt.Key.Key_Down)
    keys = Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Right
    for key, rows in zip(keys, (15, 12, 12, 15), strict=True):
        QTest.keyClick(panel.list, key)
        assert panel.model.rowCount() == rows
        assert panel.model.ref(panel.list.currentIndex()) == ImageRef("1.png"), "the heading stays marked"
    assert chosen == []


def test_the_way_on_from_a_stack_that_is_folded_in_or_not_looked_into_yet(
    panel: ImagesPanel, dataset: Dataset, book: StatusBook
) -> None:
    model, stack = panel.model, dataset.images[5]  # a picture, for its rows are all that matters
    before, first, after = dataset.images[4], ImageRef(stack.rel, 0), dataset.images[6]
    book.set(before.key, Status.PARTIAL)
    assert (model.neighbour(first, 1), model.neighbour(first, -1)) == (after, before)
    assert model.next_unfinished(first) == after
    panel.set_pages({stack.rel: [ImageRef(stack.rel, page) for page in range(3)]}, first)
    assert (model.neighbour(first, 1), model.neighbour(first, -1)) == (ImageRef(stack.rel, 1), before)
    model.fold(stack.rel)
    assert (model.neighbour(first, 1), model.neighbour(first, -1)) == (after, before)
    assert model.next_unfinished(first) == ImageRef(stack.rel, 1)


def test_an_image_with_a_problem_is_the_last_that_is_unfinished(panel: ImagesPanel, book: StatusBook) -> None:
    model = panel.model
    assert model.next_unfinished(ImageRef("4.png")) == ImageRef("6.png"), "the label of 5.png cannot be read"
    book.set_damaged("6.png", "is cut off")
    assert model.next_unfinished(ImageRef("4.png")) == ImageRef("7.png")
    for name in range(12):
        if name not in (5, 6):
            book.set(f"{name}.png", Status.DONE)
    assert model.next_unfinished(ImageRef("11.png")) == ImageRef("5.png")
    assert model.next_unfinished(ImageRef("5.png")) == ImageRef("6.png")


def test_the_open_image_stays_in_sight_when_there_is_less_room(qtbot: QtBot, panel: ImagesPanel) -> None:
    def in_sight() -> bool:
        row = panel.list.visualRect(panel.list.currentIndex())
        return row.top() >= 0 and row.bottom() < panel.list.viewport().height()

    qtbot.waitExposed(panel)
    panel.select(ImageRef("5.png"))
    assert in_sight()
    for height in (340, 250, 180):
        panel.resize(230, height)
        qtbot.waitUntil(in_sight)
    panel.list.verticalScrollBar().setValue(0)
    panel.resize(230, 170)
    assert panel.list.verticalScrollBar().value() == 0, "who looks elsewhere is not taken away"


def test_the_open_image_is_in_sight_below_a_stack_that_unfolds(qtbot: QtBot, panel: ImagesPanel) -> None:
    qtbot.waitExposed(panel)
    panel.select(ImageRef("11.png"))
    panel.set_pages({"1.png": [ImageRef("1.png", page) for page in range(5)]}, ImageRef("11.png"))
    row = panel.list.visualRect(panel.list.currentIndex())
    assert row.bottom() < panel.list.viewport().height()


def test_thumbnails_come_for_rows_that_are_shown(qtbot: QtBot, panel: ImagesPanel) -> None:
    model = panel.model
    qtbot.waitUntil(lambda: model.data(model.index(0), THUMBNAIL) is not None)
    picture = model.data(model.index(0), THUMBNAIL)
    assert picture.width() == picture.height() <= 96


def test_a_broken_image_has_no_thumbnail_and_is_not_asked_for_again(
    qtbot: QtBot, panel: ImagesPanel, dataset: Dataset
) -> None:
    dataset.image_path(dataset.images[9]).write_bytes(b"")
    model = panel.model
    with qtbot.waitSignal(model.thumbnails.ready, check_params_cb=lambda key: key == "9.png"):
        model.thumbnails.get(dataset.images[9])
    assert model.thumbnails.get(dataset.images[9]) is None
    assert "9.png" not in model.thumbnails._wanted
    assert model.data(model.index(9), STATE) == "problem", "the triangle"
    assert "“9.png”" in model.data(model.index(9), Qt.ItemDataRole.ToolTipRole)
    assert "“9.png”" in model.data(model.index(9), Qt.ItemDataRole.AccessibleTextRole)
    panel.field.setText("problem")
    assert names(model) == ["5.png", "9.png"]


def test_a_damaged_image_stays_marked_when_its_label_is_looked_at(
    qtbot: QtBot, panel: ImagesPanel, dataset: Dataset, book: StatusBook
) -> None:
    changed: list[list[str]] = []
    book.changed.connect(changed.append)
    book.set_damaged("9.png", "“9.png” is damaged.")
    book.set_damaged("9.png", "“9.png” is damaged.")
    assert changed == [["9.png"]]
    book.set("9.png", Status.PARTIAL)
    with qtbot.waitSignal(book.scanned):
        book.scan(dataset.images)
    assert panel.model.data(panel.model.index(9), STATE) == "problem"
    book.set_damaged("9.png", "")
    assert panel.model.data(panel.model.index(9), STATE) != "problem"


def test_rows_are_said_to_a_screen_reader(panel: ImagesPanel) -> None:
    index = panel.model.index(4)
    assert panel.model.data(index, Qt.ItemDataRole.AccessibleTextRole) == "4.png, partial"
    assert (
        "cannot" in panel.model.data(panel.model.index(5), Qt.ItemDataRole.ToolTipRole)
        or panel.model.data(panel.model.index(5), STATE) == "problem"
    )


def test_a_hundred_thousand_rows_take_little_memory(qtbot: QtBot) -> None:
    tracemalloc.start()
    refs = [ImageRef(f"run/image_{n:06d}.png") for n in range(100_000)]
    model = ImageListModel()
    model.set_images(refs, None)
    assert model.rowCount() == 100_000
    assert model.index_of(refs[99_999]).row() == 99_999
    assert model.neighbour(refs[50_000], 1) == refs[50_001]
    model.set_filter("image_0999")
    assert model.rowCount() == 100
    model.set_filter("")
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    model.thumbnails.close()
    assert size < 60 * 2**20, f"{size / 2**20:.0f} MiB"


def test_a_view_of_many_rows_asks_only_for_those_it_shows(qtbot: QtBot) -> None:
    panel = ImagesPanel()
    qtbot.addWidget(panel)
    panel.resize(230, 500)
    panel.show()
    qtbot.waitExposed(panel)
    panel.model.set_images([ImageRef(f"{n:06d}.png") for n in range(100_000)], None)
    asked = 0
    real = ImageListModel.data

    def count(self: ImageListModel, index: QModelIndex, role: int = 0) -> object:
        nonlocal asked
        asked += 1
        return real(self, index, role)

    ImageListModel.data = count  # type: ignore[method-assign]
    try:
        panel.select(ImageRef("090000.png"))
        panel.list.grab()
    finally:
        ImageListModel.data = real  # type: ignore[method-assign]
    panel.model.thumbnails.close()
    assert asked < 1000
    assert sys.getrefcount(panel) > 0


def test_pictures_come_from_the_top_and_what_is_in_sight_now_first(qtbot: QtBot, tmp_path: Path) -> None:
    dataset = Dataset.open(write_folder(tmp_path / "x", images=8))
    thumbnails = Thumbnails()
    thumbnails.set_dataset(dataset)
    order: list[str] = []
    thumbnails.ready.connect(order.append)
    for ref in dataset.images[:4]:
        thumbnails.get(ref)
    thumbnails._next()  # two are under way
    for ref in dataset.images[4:]:  # the person has scrolled
        thumbnails.get(ref)
    qtbot.waitUntil(lambda: len(order) == 8, timeout=20_000)
    assert order == [f"{n}.png" for n in (0, 1, 4, 5, 6, 7, 2, 3)]
    thumbnails.close()


def test_an_image_has_its_picture_though_one_of_its_name_in_the_folder_before_takes_long(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, on = threading.Event(), threading.Event()

    def slow(path: Path, page: int, size: int) -> np.ndarray:
        begun.set()
        assert on.wait(60)
        return images_module.thumbnail(path, page, size)

    monkeypatch.setattr(thumbnails_module, "thumbnail", slow)
    folders = [Dataset.open(write_folder(tmp_path / name, images=1)) for name in ("x", "y")]
    pictures = Thumbnails()
    for dataset in folders:
        pictures.set_dataset(dataset)
        assert pictures.get(dataset.images[0]) is None
        pictures._next()
    assert begun.wait(60)
    with qtbot.waitSignal(pictures.ready, timeout=20_000):
        on.set()
    assert pictures.get(folders[1].images[0]) is not None
    pictures.close()
