"""From what the images are like to how the network is trained: no knob is needed, every knob can be turned."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from unet_gui.core.errors import UserError
from unet_gui.core.text import percent
from unet_gui.engine.augment import Augmentation
from unet_gui.engine.data import SPARSE
from unet_gui.engine.fingerprint import Fingerprint
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.recipe import RECIPES, TrainConfig
from unet_gui.engine.unet import Arch

DEFAULT_MINUTES = 10.0
TUTORIAL_EPOCHS = 40
SYMMETRIES = ("", "mirror", "flips", "turns")
"""What may be done to pictures, ever more: nothing, mirrored left to right, mirrored either way, turned too."""
LARGE = 128.0
"""Thickness in pixels of all areas from which on crops are larger: a usual one might show nothing of any edge."""

NO_CHANGE = Augmentation(
    flip_x=False,
    flip_y=False,
    turn=False,
    warp=0,
    rotate=0,
    scale=1,
    bend=0,
    elastic=0,
    brightness=0,
    contrast=0,
    gamma=0,
    noise=0,
    blur=0,
    coarse=0,
)
"""Crops as they are; the tutorial only flips them."""


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the first step.

    Attributes
    ----------
    recipe : {"fast", "tutorial"}
    arch : Arch
        The network.
    normalisation : Normalisation
    crop : int
        Side of the crops; 0 = whole images.
    batch : int
        Crops a step.
    optimiser : {"muon", "adamw", "rmsprop"}
    learning_rate, weight_decay, momentum : float
        The peak rate for a schedule, else the rate.
    schedule : {"cosine", "constant"}
    warmup : float
        Share of the run in which the rate rises.
    clip : float
        Largest norm of a step's gradient; 0 = any.
    ema : float
        Share of the old in the running average of the weights; 0 = no average.
    loss : {"cross-entropy-dice", "bce"}
    dice_share : float
    class_weights : tuple of float
    balance : float
        Share of the crops that are cut around a pixel of a class drawn with equal chances.
    inpaint : float
        Weight of guessing what hidden squares of the picture show, beside the loss; 0 = not asked for. See `inpaint`.
    augmentation : Augmentation
    symmetries : str
        See `Model.symmetries`.
    averaged : int
        Views of a picture that a prediction is the average of: see `views`.
    score : {"dice", "rand"}
    net : int
        For ``"rand"``: the separating class.
    keep : {"best-score", "lowest-loss"}
    """

    recipe: str
    arch: Arch
    normalisation: Normalisation
    crop: int
    batch: int
    learning_rate: float
    score: str
    optimiser: str = "adamw"
    weight_decay: float = 0.01
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: float = 0.05
    clip: float = 1.0
    ema: float = 0.99
    loss: str = "cross-entropy-dice"
    dice_share: float = 0.5
    class_weights: tuple[float, ...] = ()
    balance: float = 0.0
    inpaint: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    symmetries: str = "turns"
    averaged: int = 4
    net: int = 0
    keep: str = "best-score"

    @property
    def views(self) -> int:
        """Views of a picture to average over, as far as it has symmetries: a little better in nearly every trial."""
        return self.averaged if self.symmetries and self.recipe != "tutorial" else 1

    def to_json(self) -> str:
        """Return the plan as text for the checkpoint."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["arch"] = self.arch.to_json()
        values["normalisation"] = self.normalisation.to_json()
        values["augmentation"] = dataclasses.asdict(self.augmentation)
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Invert `to_json`."""
        values = json.loads(text)
        values["arch"] = Arch.from_json(values["arch"])
        values["normalisation"] = Normalisation.from_json(values["normalisation"])
        values["augmentation"] = Augmentation(**values["augmentation"])
        values["class_weights"] = tuple(values["class_weights"])
        return cls(**values)


def make_plan(
    config: TrainConfig, prints: Fingerprint, score: str, net: int, device: str
) -> tuple[Plan, tuple[str, ...]]:
    """Decide everything.

    Parameters
    ----------
    config : TrainConfig
        What the person insists on.
    prints : Fingerprint
        What the images are like.
    score : {"dice", "rand"}
    net : int
        The class that separates regions, for ``"rand"``.
    device : {"cpu", "cuda", "mps"}

    Returns
    -------
    Plan
    tuple of str
        The same in plain words.

    Raises
    ------
    UserError
        The recipe does not fit the data, or a number makes no sense.
    """
    check_wishes(config)
    if config.recipe == "tutorial":
        return _tutorial(config, prints, score, net)
    return _fast(config, prints, score, net, device)


def check_wishes(config: TrainConfig) -> None:
    """Raise UserError for a wish that makes no sense, whatever the images are like."""
    if config.recipe not in RECIPES:
        raise UserError(f"There is no recipe called “{config.recipe}”.", hint=f"Use {' or '.join(RECIPES)}.")
    limits: dict[str, tuple[float, float]] = {
        "minutes": (0.001, 10**6),
        "epochs": (1, 10**7),
        "steps": (1, 10**9),
        "width": (1, 1024),
        "depth": (0, 8),
        "crop": (16, 8192),
        "batch": (1, 4096),
        "learning_rate": (1e-9, 10.0),
        "channels": (1, 4),
        "inpaint": (0, 100),
        "patience": (0, 10**9),
        "seed": (0, 2**32 - 1),
    }
    if config.stem not in (None, 1, 2, 4):
        raise UserError(f"Pixel blocks can be 1, 2 or 4 pixels wide, not {config.stem}.")
    if config.precision not in ("auto", "fp32", "bf16"):
        raise UserError(f"There is no precision called “{config.precision}”.", hint="Use auto, fp32 or bf16.")
    if config.symmetries not in (None, "none", *SYMMETRIES[1:]):
        wishes = ", ".join(("none", *SYMMETRIES[1:-1]))
        raise UserError(f"There are no symmetries called “{config.symmetries}”.", hint=f"Use {wishes} or turns.")
    if config.normalisation not in (None, "image", "dataset"):
        raise UserError(f"There is no normalisation called “{config.normalisation}”.", hint="Use image or dataset.")
    if config.first_weights not in (None, "drawn", "random"):
        raise UserError(f"There are no first weights called “{config.first_weights}”.", hint="Use drawn or random.")
    for name, (low, high) in limits.items():
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            raise UserError(f"{name.replace('_', ' ')} must be between {low} and {high}, not {value}.")


def _tutorial(config: TrainConfig, prints: Fingerprint, score: str, net: int) -> tuple[Plan, tuple[str, ...]]:
    """Return the tutorial's choices, whatever the images are like."""
    if len(prints.shares) != 2:
        raise UserError(
            f"The tutorial's recipe knows two classes, but there are {len(prints.shares)}.", hint="Use the recipe fast."
        )
    flips = dataclasses.replace(NO_CHANGE, flip_x=True, flip_y=True)
    plan = Plan(
        recipe="tutorial",
        arch=Arch.tutorial(),
        normalisation=Normalisation("none"),
        crop=0,
        batch=1,
        learning_rate=config.learning_rate or 1e-5,
        score=score,
        optimiser="rmsprop",
        weight_decay=1e-8,
        momentum=0.9,
        schedule="constant",
        warmup=0,
        clip=0,
        ema=0,
        loss="bce",
        dice_share=0,
        augmentation=flips,
        symmetries="flips",
        net=net,
        keep="lowest-loss",
    )
    words = (
        "The tutorial's recipe: 64-128-256-512-512 channels, whole images one by one, grey values 0-255 as they are.",
        f"RMSprop with rate {plan.learning_rate:g}; the weights with the lowest training loss are kept.",
    )
    return plan, words


def _fast(config: TrainConfig, prints: Fingerprint, score: str, net: int, device: str) -> tuple[Plan, tuple[str, ...]]:
    """Return choices that learn most in little time."""
    stem, why_stem = _stem(config, prints)
    depth = 3 if config.depth is None else config.depth
    width = config.width or (16 if device == "cpu" else 32)
    classes = len(prints.shares)
    arch = Arch.plain(config.channels or prints.channels, classes, width, depth, stem=stem)
    crop = _crop(config, prints, arch, device)
    if config.batch == 1 and crop == arch.align:
        crop *= 2  # the coarsest map would be one value, which has no spread to normalise by
    symmetries = _symmetries(config, prints)
    absolute = prints.absolute and config.normalisation is None
    plan = Plan(
        recipe="fast",
        arch=arch,
        normalisation=_normalisation(config, prints),
        crop=crop,
        batch=config.batch or _batch(crop // 2 if _looks_far(stem, prints) else crop, device),
        learning_rate=config.learning_rate or 3e-3,
        score=score,
        optimiser="muon",
        class_weights=_weights(prints.shares),
        balance=0.5 if prints.labelled < SPARSE or min(prints.shares) < 0.05 else 0.0,
        inpaint=_inpaint(config, prints),
        augmentation=_augmentation(prints, symmetries, absolute),
        symmetries=symmetries,
        net=net,
    )
    return plan, _words(plan, prints, why_stem, asked=config.symmetries is not None)


def _normalisation(config: TrainConfig, prints: Fingerprint) -> Normalisation:
    """Choose how grey values are measured: for each image, as exposure and staining differ even within a folder."""
    if (config.normalisation or ("dataset" if prints.absolute else "image")) == "dataset":
        return Normalisation("dataset", prints.mean, prints.std)
    return Normalisation("image", floor=0.1 * prints.spread, dtype=prints.dtype)


def _stem(config: TrainConfig, prints: Fingerprint) -> tuple[int, str]:
    """Choose the working scale by the thinnest things there are."""
    if config.stem is not None:
        return config.stem, f"Pixels are looked at in blocks of {config.stem} × {config.stem}, as asked."
    known = [t for t in prints.thickness if t > 0]
    thin = min(known, default=0.0)
    if thin and thin < 3 and len(prints.shares) <= 2:
        return 1, f"The thinnest parts are about {thin:.0f} pixels wide, so every pixel is looked at one by one."
    if _large(prints):
        return 4, "All areas are large, so the network looks far, at pixels in blocks of 4 × 4."
    return 2, "Pixels are looked at in blocks of 2 × 2, which is four times as fast."


def _large(prints: Fingerprint) -> bool:
    """Whether all areas are so thick that a usual crop may show nothing of what bounds them."""
    return min((t for t in prints.thickness if t > 0), default=0.0) > LARGE


def _looks_far(stem: int, prints: Fingerprint) -> bool:
    """Whether crops are larger, and pixel for pixel cheaper, for areas that are large."""
    return stem == 4 and _large(prints)


def _crop(config: TrainConfig, prints: Fingerprint, arch: Arch, device: str) -> int:
    """Choose the crop: a multiple of the network's grid, not much larger than the images."""
    usual = (192 if device == "cuda" else 128) * (3 if _looks_far(arch.stem, prints) else 1)
    wish = config.crop or min(usual, max(prints.median_side, 64))
    return max(arch.align, -(-wish // arch.align) * arch.align)


def _batch(crop: int, device: str) -> int:
    """Choose the crops a step: many small ones from many images teach more than few large ones in the same time."""
    pixels = 16 * 192**2 if device == "cuda" else 8 * 128**2
    return int(min(32, max(2, round(pixels / crop**2))))


def _inpaint(config: TrainConfig, prints: Fingerprint) -> float:
    """Choose the weight of the second task: for strokes in textures; scenes with an up and a down lost by it."""
    if config.inpaint is not None:
        return config.inpaint
    return 0.3 if prints.labelled < SPARSE and not prints.upright else 0.0


def _weights(shares: Sequence[float]) -> tuple[float, ...]:
    """Return class weights: rare classes count more, but by the root only, and none is without weight."""
    known = [s for s in shares if s > 0]
    if not known:
        return (1.0,) * len(shares)
    middle = 1 / len(known)
    return tuple(float(min(4.0, max(0.5, (middle / s) ** 0.5))) if s > 0 else 1.0 for s in shares)


def _symmetries(config: TrainConfig, prints: Fingerprint) -> str:
    """Choose what may be done to the pictures: all, unless they have an up and a down, or classes a direction."""
    if config.symmetries is not None:
        return "" if config.symmetries == "none" else config.symmetries
    usual = ("" if prints.handed else "mirror") if prints.upright else "turns"
    return min(usual, prints.symmetries, key=SYMMETRIES.index)


def _augmentation(prints: Fingerprint, symmetries: str, absolute: bool) -> Augmentation:
    """Choose how crops are varied: a little where the world has an up and a down, as its scenes are alike anyway."""
    usual = Augmentation()
    if prints.upright:
        usual = dataclasses.replace(
            usual,
            warp=0.5,
            rotate=10,
            bend=0.3,
            elastic=2,
            brightness=0.15,
            contrast=0.15,
            gamma=0,
            noise=0.1,
            blur=0,
            coarse=0,
        )
    if absolute:
        usual = dataclasses.replace(usual, brightness=0.05, contrast=0.05, gamma=0)
    return dataclasses.replace(
        usual,
        flip_x=symmetries != "",
        flip_y=symmetries in ("flips", "turns"),
        turn=symmetries == "turns",
        rotate=usual.rotate if symmetries == "turns" else min(usual.rotate, 15),
    )


def _words(plan: Plan, prints: Fingerprint, why_stem: str, asked: bool) -> tuple[str, ...]:
    """Say the plan in plain words."""
    colour = "grey" if plan.arch.in_channels == 1 else f"{plan.arch.in_channels} colour channels"
    score = (
        "The score is Rand F: regions separated by thin lines must not merge or split."
        if plan.score == "rand"
        else "The score is Dice: how well the areas overlap."
    )
    return (
        f"{_count_words(prints)}, {colour}, {percent(prints.labelled)} of the pixels labelled.",
        *_grey_words(plan, prints),
        why_stem,
        _symmetry_words(plan.symmetries, prints, asked),
        *(["The network also learns to guess hidden parts of the pictures, painted or not."] if plan.inpaint else []),
        score,
    )


def _count_words(prints: Fingerprint) -> str:
    """Say how many images there are, and how many of them are held back."""
    labelled = prints.images + prints.held_back
    count = f"{labelled} labelled image{'s' * (labelled != 1)}"
    if not prints.held_back:
        return count
    return f"{count}, {prints.images} to learn from and {prints.held_back} held back"


def _symmetry_words(symmetries: str, prints: Fingerprint, asked: bool) -> str:
    """Say what is done to the pictures, and why."""
    done = {
        "": "neither mirrored nor turned",
        "mirror": "mirrored left to right but not turned",
        "flips": "mirrored at random but not turned",
        "turns": "turned and mirrored at random",
    }[symmetries]
    if asked:
        return f"The pictures are {done}, as asked."
    if symmetries == "turns":
        return f"There is no up or down, so the pictures are {done}."
    if prints.upright:
        both = "Top and bottom look different, left and right too" if prints.handed else "Top and bottom look different"
        return f"{both}, so the pictures are {done}."
    return f"Classes are told apart by their direction, so the pictures are {done}."


def network_words(plan: Plan) -> tuple[str, ...]:
    """Say what the network is like, which may also depend on the time and on another model to start from."""
    if plan.recipe == "tutorial":
        return ()
    network = f"Network with {plan.arch.widths[0]} to {plan.arch.widths[-1]} channels"
    return (f"{network}; {plan.batch} crops of {plan.crop} × {plan.crop} pixels a step.",)


def _grey_words(plan: Plan, prints: Fingerprint) -> tuple[str, ...]:
    """Say how grey values are measured, and which are on which side."""
    if prints.absolute and plan.normalisation.kind == "dataset":
        return ("Classes are told apart by their grey values as they are, so images are not evened out one by one.",)
    of = "each image" if plan.normalisation.kind == "image" else "all images together"
    said = [f"Brightness and contrast are evened out for {of}."]
    share = prints.brighter[-1] if len(prints.brighter) == 2 else float("nan")
    if 0.05 < share < 0.95:
        said.append(
            f"The second class is brighter than the first in {percent(share)} of the images, darker in the others."
        )
    return tuple(said)
