"""The main job on the built-in sample without a window: make it, train, segment all, compare with the truth."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from unet_gui.core.contact_sheet import write_contact_sheet
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.metrics import evaluate_folders
from unet_gui.core.project import Dataset
from unet_gui.core.sample import write_sample
from unet_gui.engine.events import Event
from unet_gui.engine.recipe import SegmentConfig, SegmentItem, TrainConfig


@dataclass(frozen=True)
class Scores(Event):
    """How the masks compare with the truth, on the images whose labels were withheld.

    Attributes
    ----------
    text : str
        The table for a person, and where everything is.
    scores : dict
        The same figures by name.
    masks, contact_sheet, model : Path
    """

    text: str
    scores: dict[str, object]
    masks: Path
    contact_sheet: Path
    model: Path


def demo(folder: Path, minutes: float = 1.0, device: str = "auto") -> Generator[Event, None, None]:
    """Write the sample into ``folder``, train on its labels, segment all images and evaluate.

    Parameters
    ----------
    folder : Path
        Made when missing. A folder that holds something else is refused; a sample written earlier is used again.
    minutes : float
        Training time.
    device : str
        As in `TrainConfig`.

    Yields
    ------
    Event
        Those of `train` and `segment`, at the end `Scores`.

    Raises
    ------
    UserError
        The folder holds something else.
    """
    from unet_gui.engine.segment import segment
    from unet_gui.engine.train import train

    folder = folder.resolve()
    image, truth = folder / "image", folder / "truth"
    if not (image.is_dir() and truth.is_dir()):
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError("The folder is not empty.", folder, "Name a new folder for the sample.")
        write_sample(folder)
    dataset = Dataset.open(folder)
    model = folder / ".unet-gui" / "models" / "demo.safetensors"
    yield from train(dataset, model, TrainConfig(minutes=minutes, device=device))

    masks = folder / "masks"
    items = [
        SegmentItem(dataset.image_path(ref), 0, masks / Path(ref.rel).with_suffix(".png")) for ref in dataset.images
    ]
    yield from segment(items, SegmentConfig(model, device=device, encoding="binary", overwrite=True))

    result = evaluate_folders(masks, truth)
    sheet = folder / "contact-sheet.png"
    withheld = [ref for ref in dataset.images if not dataset.has_label(ref)]
    write_contact_sheet(sheet, [_pair(dataset, ref, masks) for ref in withheld[:12]])
    text = "\n".join(
        [
            f"On {len(withheld)} images whose labels were withheld:",
            result.text(),
            f"masks          {masks}",
            f"contact sheet  {sheet}",
            f"model          {model}",
        ]
    )
    yield Scores(text, result.to_json(), masks, sheet, model)


def _pair(dataset: Dataset, ref: ImageRef, masks: Path) -> tuple[Path, Path, str]:
    """Return image, mask and caption for one row of the contact sheet."""
    return dataset.image_path(ref), masks / Path(ref.rel).with_suffix(".png"), ref.rel
