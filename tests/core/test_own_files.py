"""Nothing that is exported replaces an image or a label, whatever folder is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unet_gui.core import png
from unet_gui.core.errors import UserError
from unet_gui.core.exchange import EXPORTERS, ExportOptions, export, export_masks
from unet_gui.core.images import ImageRef
from unet_gui.core.own_files import OwnFiles
from unet_gui.core.project import Dataset

SIZE = (20, 30)


def nested(root: Path) -> Dataset:
    """Images of the same names in a folder and further down, all labelled but the last."""
    for name in ("0.png", "1.png", "a/0.png", "a/1.png"):
        for place, value in ((root / name, 7), (root / "labels" / name, 1)):
            if place != root / "labels" / "a" / "1.png":
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(png.encode(np.full(SIZE, value, np.uint8)))
    return Dataset.open(root)


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where", ["a", "labels/a"])
@pytest.mark.parametrize("kind", sorted(EXPORTERS))
def test_an_export_replaces_no_image_and_makes_no_label(tmp_path: Path, kind: str, where: str) -> None:
    dataset = nested(tmp_path / "x")
    before = files(dataset.root)
    export(dataset, kind, dataset.root / where, ExportOptions(overwrite=True, only_labels=True))
    after = files(dataset.root)
    assert {name: after.get(name) for name in before} == before
    assert not Dataset.open(dataset.root).has_label(ImageRef("a/1.png"))


@pytest.mark.parametrize("where", ["a", "labels/a", "A", "b/../a"])
def test_masks_replace_no_image(tmp_path: Path, where: str) -> None:
    dataset = nested(tmp_path / "x")
    before = files(dataset.root)
    with pytest.raises(UserError, match="never replaced"):
        export_masks(dataset, dataset.images[0], dataset.root / where)
    assert files(dataset.root) == before


def test_masks_go_into_any_other_folder_beside_the_images(tmp_path: Path) -> None:
    dataset = nested(tmp_path / "x")
    own = OwnFiles(dataset)
    assert [own.near(out) for out in (tmp_path, dataset.root / "b", tmp_path / "y")] == [True, True, False]
    for out in (dataset.root / "b", dataset.root / "labels" / "b", tmp_path / "y"):
        assert own.what(out / "0.png") == ""
        for _ in range(2):
            export_masks(dataset, dataset.images[0], out)
        assert (out / "0.png").is_file()


def test_a_link_to_the_folder_of_images_is_that_folder(tmp_path: Path) -> None:
    dataset = nested(tmp_path / "x")
    link = tmp_path / "link"
    try:
        link.symlink_to(dataset.root / "a", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert OwnFiles(dataset).what(link / "0.png") == "an image"
    assert OwnFiles(dataset).what(dataset.root / "labels" / "a" / "1.png") == "the label of an image"
