"""``evaluate``: folders of predictions against folders of labels, whatever they are called and however encoded."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from unet_gui.core import png
from unet_gui.core.errors import UserError
from unet_gui.core.metrics import evaluate_folders
from unet_gui.core.project import Dataset
from unet_gui.core.store import BINARY, INDEX, read_label, write_label

HALF = np.zeros((10, 20), np.uint8)
HALF[:, 10:] = 1


def save(folder: Path, **labels: np.ndarray) -> Path:
    for name, ids in labels.items():
        write_label(folder / f"{name}.png", ids, BINARY)
    return folder


def test_two_folders(tmp_path: Path) -> None:
    wrong = HALF.copy()
    wrong[:, 9] = 1
    predicted, label = save(tmp_path / "p", a=HALF, b=wrong), save(tmp_path / "l", a=HALF, b=HALF)
    result = evaluate_folders(predicted, label)
    assert [pair.name for pair in result.pairs] == ["a", "b"]
    data = json.loads(json.dumps(result.to_json()))
    assert data["pixel_error"] == pytest.approx(10 / 400)
    assert data["dice"]["0"] == pytest.approx(2 * 190 / 390)
    assert data["iou"]["1"] == pytest.approx(200 / 210)
    assert data["confusion"] == [[190, 10, 0], [0, 200, 0]]
    assert [image["pixel_error"] for image in data["per_image"]] == [0, pytest.approx(10 / 200)]
    assert data["membrane"] is None
    assert "rand_f" not in data
    text = result.text()
    assert "2 images" in text
    assert "0.0250" in text


@pytest.mark.parametrize("layout", ["image", "."])
def test_labels_of_a_folder_are_read_as_its_project_file_says(tmp_path: Path, layout: str) -> None:
    raw = HALF.copy()
    raw[:, :3] = 11
    (tmp_path / layout).mkdir(exist_ok=True)
    Image.fromarray(HALF).save(tmp_path / layout / "a.png")
    labels = tmp_path / ("label" if layout == "image" else "labels")
    labels.mkdir()
    Image.fromarray(raw).save(labels / "a.png")
    masks = tmp_path / "label_masks"
    write_label(masks / "a.png", HALF, INDEX)
    assert evaluate_folders(masks, labels).classes == 12
    dataset = Dataset.open(tmp_path)
    dataset.set_encoding(dataset.encoding.with_unlabelled(11))
    dataset.save()
    for where in (labels, labels / "a.png"):
        result = evaluate_folders(masks if where == labels else masks / "a.png", where)
        assert result.classes == 2
        assert result.to_json()["pixel_error"] == 0


def test_predictions_may_have_something_behind_their_name(tmp_path: Path) -> None:
    predicted = save(tmp_path / "p", a_res=HALF, b_res=HALF, b_res_prob=1 - HALF, other=HALF, c=HALF, c_res=1 - HALF)
    label = save(tmp_path / "l", a=HALF, b=HALF, c=HALF)
    result = evaluate_folders(predicted, label)
    assert [pair.name for pair in result.pairs] == ["a", "b", "c"]
    assert not result.failed
    assert result.to_json()["pixel_error"] == 0


def test_labels_may_have_something_behind_their_name(tmp_path: Path) -> None:
    save(tmp_path / "p", a=HALF, a_b=HALF, c=HALF, d=HALF)
    save(tmp_path / "l", a_mask=HALF, c_1=HALF, c_2=HALF, d=HALF, d_mask=HALF)
    result = evaluate_folders(tmp_path / "p", tmp_path / "l")
    assert [pair.name for pair in result.pairs] == ["a_mask", "d"]
    assert [Path(name).name for name, _ in result.failed] == ["c_1.png", "c_2.png", "d_mask.png"], "nothing is guessed"


def test_folders_inside_are_paired_by_their_path(tmp_path: Path) -> None:
    for place, ids in {"x": HALF, "y": 1 - HALF}.items():
        save(tmp_path / "p" / place, a=ids)
        save(tmp_path / "l" / place, a=ids)
    result = evaluate_folders(tmp_path / "p", tmp_path / "l")
    assert [pair.name for pair in result.pairs] == ["x/a", "y/a"]
    assert result.to_json()["pixel_error"] == 0


def test_a_bad_pair_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    predicted = save(tmp_path / "p", good=HALF, size=HALF[:, :5], broken=HALF, two_a=HALF, two_b=HALF)
    (predicted / "broken.png").write_bytes(b"")
    label = save(tmp_path / "l", good=HALF, size=HALF, broken=HALF, missing=HALF, two=HALF)
    result = evaluate_folders(predicted, label)
    assert [pair.name for pair in result.pairs] == ["good"]
    reasons = {Path(path).name: reason for path, reason in result.failed}
    assert "20 × 10" in reasons["size.png"]
    assert "empty" in reasons["broken.png"]
    assert "no prediction" in reasons["missing.png"]
    assert "several" in reasons["two.png"]
    assert len(result.failed) == 4
    assert "4 failed" in result.text()


def test_encodings_may_differ(tmp_path: Path) -> None:
    save(tmp_path / "p", a=HALF)
    write_label(tmp_path / "l/a.png", HALF, INDEX)
    assert evaluate_folders(tmp_path / "p", tmp_path / "l").to_json()["pixel_error"] == 0
    assert evaluate_folders(tmp_path / "l", tmp_path / "p").to_json()["pixel_error"] == 0


def test_colours_mean_the_same_in_both_folders(tmp_path: Path) -> None:
    colors = np.array([(10, 0, 0), (0, 200, 0), (0, 0, 30)], np.uint8)
    truth = np.repeat(np.array([[0, 1, 2]], np.uint8), 4, axis=0)
    guess = np.where(truth == 0, 1, truth)  # the first colour does not occur
    for folder, ids in {"l": truth, "p": guess}.items():
        (tmp_path / folder).mkdir()
        Image.fromarray(colors[ids]).save(tmp_path / folder / "a.png")
    assert evaluate_folders(tmp_path / "p", tmp_path / "l").to_json()["pixel_error"] == pytest.approx(1 / 3)


def test_unlabelled_pixels_do_not_count(tmp_path: Path) -> None:
    truth = HALF.copy()
    truth[:5] = 255
    wrong = HALF.copy()
    wrong[:5] = 1 - wrong[:5]
    save(tmp_path / "p", a=wrong)
    save(tmp_path / "l", a=truth)
    result = evaluate_folders(tmp_path / "p", tmp_path / "l")
    assert result.table.sum() == 100
    assert result.to_json()["pixel_error"] == 0


def test_stacks_are_compared_page_by_page(tmp_path: Path) -> None:
    for folder in ("p", "l"):
        (tmp_path / folder).mkdir()
    stack = np.stack([HALF, 1 - HALF, HALF]) * 255
    tifffile.imwrite(tmp_path / "l/s.tif", stack, photometric="minisblack")
    stack[1] = HALF * 255
    tifffile.imwrite(tmp_path / "p/s_res.tif", stack, photometric="minisblack", compression="zlib")
    result = evaluate_folders(tmp_path / "p", tmp_path / "l")
    assert [pair.name for pair in result.pairs] == ["s#0", "s#1", "s#2"]
    assert [image["pixel_error"] for image in result.to_json()["per_image"]] == [0, 1, 0]


def test_two_files(tmp_path: Path) -> None:
    save(tmp_path, a=HALF, b=HALF)
    result = evaluate_folders(tmp_path / "a.png", tmp_path / "b.png")
    assert (len(result.pairs), result.to_json()["pixel_error"]) == (1, 0)


@pytest.mark.parametrize("missing", ["p", "l", "none"])
def test_nothing_to_compare_says_so(tmp_path: Path, missing: str) -> None:
    for folder in {"p", "l"} - {missing}:
        save(tmp_path / folder, a=HALF)
    with pytest.raises(UserError) as caught:
        evaluate_folders(tmp_path / "p", tmp_path / "l" if missing != "none" else tmp_path / "nowhere")
    assert caught.value.path


def test_membranes_are_found_or_named(data: Path, tmp_path: Path) -> None:
    folder = data / "isbi2012/train/label"
    for name in ("0", "1"):
        ids = read_label(folder / f"{name}.png", BINARY)
        write_label(tmp_path / "l" / f"{name}.png", ids, BINARY)
        write_label(tmp_path / "p" / f"{name}_res.png", np.roll(ids, 2, axis=0), BINARY)
    found = evaluate_folders(tmp_path / "p", tmp_path / "l")
    assert found.membrane == 0
    data_ = found.to_json()
    assert 0.8 < data_["rand_f"] < 1
    assert data_["vi"] == pytest.approx(data_["vi_split"] + data_["vi_merge"])
    assert "Rand F" in found.text()
    assert evaluate_folders(tmp_path / "p", tmp_path / "l", membrane="0").to_json() == data_
    for none in ("none", None):
        assert evaluate_folders(tmp_path / "p", tmp_path / "l", membrane=none).regions is None
    with pytest.raises(UserError, match="no class id"):
        evaluate_folders(tmp_path / "p", tmp_path / "l", membrane="zero")


def test_what_is_no_label_says_whose_it_is(tmp_path: Path) -> None:
    save(tmp_path / "l", a=HALF)
    (tmp_path / "p").mkdir()
    (tmp_path / "p/a.png").write_bytes(png.encode(np.arange(200, dtype=np.uint16).reshape(10, 20) * 3))
    with pytest.raises(UserError, match="The predictions cannot be compared") as caught:
        evaluate_folders(tmp_path / "p", tmp_path / "l")
    assert caught.value.path == str(tmp_path / "p")


def test_photographs_in_the_place_of_masks_are_said_and_do_not_flood(tmp_path: Path) -> None:
    picture = np.arange(200, dtype=np.uint8).reshape(10, 20)
    for folder in "pl":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(png.encode(picture))
    result = evaluate_folders(tmp_path / "p", tmp_path / "l")
    text = result.text()
    assert len(text.splitlines()) < 20
    assert "… and 190 classes more" in text
    for whose in ("Labels", "Predictions"):
        assert f"{whose}: 200 different grey values were taken for one class each. Unless there are so many " in text
    assert len(result.to_json()["dice"]) == 200, "a program gets all"


def test_real_labels_against_themselves(data: Path) -> None:
    street = evaluate_folders(data / "camvid/val/label", data / "camvid/val/label", unlabelled=11).to_json()
    assert (street["images"], street["pixel_error"], street["mean_iou"]) == (12, 0, 1)
    assert len([value for value in street["iou"].values() if value is not None]) == 11
    assert street["membrane"] is None
    everything = evaluate_folders(data / "camvid/val/label", data / "camvid/val/label")
    assert everything.table.sum() > sum(map(sum, street["confusion"]))
    assert not math.isnan(everything.to_json()["mean_dice"])
