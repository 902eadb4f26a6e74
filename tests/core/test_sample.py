"""The built-in sample: always the same bytes, a folder like any other, and no toy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unet_gui.core.images import image_info, open_image
from unet_gui.core.metrics import confusion, dice, rand_f, regions_of, thin_net_class
from unet_gui.core.micrograph import CELL, MEMBRANE, render
from unet_gui.core.project import Dataset, Status
from unet_gui.core.sample import write_sample
from unet_gui.core.store import BINARY, read_label


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, 6, labelled=2, sizes=(200, 260))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "again", 6, labelled=2, sizes=(200, 260))
    assert files(tmp_path / "again") == files(sample)
    write_sample(tmp_path / "other", 6, labelled=2, sizes=(200, 260), seed=1)
    other = files(tmp_path / "other")
    assert not set(other.values()) & set(files(sample).values())


def test_some_labels_are_given_and_the_truth_of_the_others_is_kept_aside(sample: Path) -> None:
    names = [f"0{i}.png" for i in range(6)]
    assert sorted(files(sample)) == sorted(
        [f"image/{name}" for name in names]
        + [f"label/{name}" for name in names[:2]]
        + [f"truth/{name}" for name in names[2:]]
    )


def test_it_opens_like_the_tutorials_folder(sample: Path) -> None:
    dataset = Dataset.open(sample)
    assert (dataset.image_root, dataset.label_root) == (sample / "image", sample / "label")
    assert dataset.encoding == BINARY
    assert [info.name for info in dataset.classes] == ["membrane", "cell"]
    assert [dataset.status(ref) for ref in dataset.images] == [Status.DONE] * 2 + [Status.UNTOUCHED] * 4


def test_every_image_has_a_size_of_its_own_and_its_label_too(sample: Path) -> None:
    sizes = set()
    for path in sorted((sample / "image").iterdir()):
        info = image_info(path)
        assert (info.channels, info.dtype) == (1, "uint8")
        assert 200 <= info.height <= 260
        assert 200 <= info.width <= 260
        sizes.add((info.height, info.width))
        folder = "label" if (sample / "label" / path.name).exists() else "truth"
        ids = read_label(sample / folder / path.name, BINARY, shape=(info.height, info.width))
        assert set(np.unique(ids)) == {MEMBRANE, CELL}
    assert len(sizes) > 3


def test_membranes_are_a_thin_net_around_many_cells() -> None:
    labels = [render(300, 320, (0, i))[1] for i in range(4)]
    assert thin_net_class(labels) == MEMBRANE
    for ids in labels:
        assert 0.05 < (ids == MEMBRANE).mean() < 0.35
        regions = regions_of(ids, MEMBRANE)
        areas = np.bincount(regions.ravel())[1:]
        assert np.count_nonzero(areas > 100) >= 8
        assert areas.max() < 0.5 * areas.sum()


def test_it_is_no_toy() -> None:
    """Membranes are darker, but no threshold comes near the truth."""
    best_overlap = best_rand = 0.0
    for i in range(3):
        image, ids = render(300, 320, (0, i))
        assert image[ids == MEMBRANE].mean() < image[ids == CELL].mean() - 20
        for threshold in range(40, 200, 10):
            guess = (image >= threshold).astype(np.uint8)
            best_overlap = max(best_overlap, float(dice(confusion(ids, guess, 2))[MEMBRANE]))
            best_rand = max(best_rand, rand_f(ids, guess))
    assert 0.4 < best_overlap < 0.85
    assert best_rand < 0.9


def test_images_use_the_range_and_differ_from_each_other(sample: Path) -> None:
    means = []
    for path in sorted((sample / "image").iterdir()):
        with open_image(path) as source:
            pixels = source.read()
        assert pixels.std() > 20
        assert np.mean((pixels == 0) | (pixels == 255)) < 0.02
        means.append(float(pixels.mean()))
    assert np.std(means) > 3
