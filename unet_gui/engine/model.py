"""A trained network with everything needed to use it, and its file. See ``docs/model-format.md``."""

from __future__ import annotations

import io
import os
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from unet_gui.core.errors import ModelError
from unet_gui.core.headers import open_error
from unet_gui.core.model_info import ModelInfo, looks_like_torch_file, read_model_info
from unet_gui.core.palette import default_classes
from unet_gui.core.store import atomic_write
from unet_gui.engine.device import DeviceChoice, pick_device
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.unet import Arch, UNet

TUTORIAL_LOGIT = 0.5
"""The tutorial calls a pixel class 1 where the *logit*, not the probability, is at least this."""

_NOT_OURS = "is a file of Python objects, and not the weights of a U-Net."
_ONLY_WEIGHTS = "From such a file only weights with the tutorial's names can be taken; nothing else in it is opened."


@dataclass
class Model:
    """A network, what it takes and what its answer means.

    Attributes
    ----------
    net : UNet
        In evaluation mode.
    info : ModelInfo
        Classes, normalisation, operating point, how it was trained and scored.
    """

    net: UNet
    info: ModelInfo

    @property
    def arch(self) -> Arch:
        """The network's shape."""
        return self.net.arch

    @property
    def normalisation(self) -> Normalisation:
        """How grey values become the network's input."""
        return Normalisation.from_json(self.info.normalisation)

    @property
    def offsets(self) -> tuple[float, ...]:
        """The operating point, one number a class."""
        return tuple(self.info.offsets) or (0.0,) * len(self.info.classes)

    @property
    def symmetries(self) -> str:
        """What the model takes as equal: ``"turns"`` (flips and quarter turns), ``"flips"``, ``"mirror"`` or ``""``."""
        return str(self.info.trained.get("symmetries", ""))

    @property
    def views(self) -> int:
        """How many views of a picture it averages over, as when its operating point was chosen: 1, 2 or 4."""
        return int(self.info.trained.get("views", 1))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.safetensors`` file; the old one stays whole until the new one is.

        Raises
        ------
        OSError
            The disk is full, the folder is gone or may not be written to.
        """
        state = {k: v.detach().cpu().contiguous() for k, v in self.net.state_dict().items()}
        atomic_write(Path(path), safetensors.torch.save(state, metadata=self.info.to_metadata()))

    def save_state_dict(self, path: str | os.PathLike[str]) -> None:
        """Write the bare weights as the tutorial does (``best_model.pth``)."""
        atomic_write(Path(path), state_dict_bytes(self.net.state_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str | DeviceChoice = "auto") -> Model:
        """Read a model of this program, or the tutorial's weights.

        Parameters
        ----------
        path : path
            A ``.safetensors`` file, or a ``state_dict`` in the tutorial's names (``best_model.pth``), which is read
            without running any code in it.

        Raises
        ------
        ModelError
            The file is missing, damaged, or something else.
        """
        choice = pick_device(device) if isinstance(device, str) else device
        path = Path(path)
        model = cls._from_torch_file(path) if looks_like_torch_file(path) else cls._from_safetensors(path)
        model.net.to(choice.torch).eval()
        return model

    @classmethod
    def _from_safetensors(cls, path: Path) -> Model:
        info = read_model_info(path)
        try:
            arch = Arch.from_json(info.arch)
            _check_numbers(info)
            state = safetensors.torch.load(path.read_bytes())  # a mapped file could not be replaced on Windows
        except (SafetensorError, OSError, ValueError, OverflowError, TypeError, KeyError) as error:
            raise ModelError("is damaged or cut off.", path, details=repr(error)) from error
        if arch.classes != len(info.classes) or arch.in_channels != info.channels:
            raise ModelError(
                "contradicts itself.",
                path,
                details=f"{arch.classes} outputs for {len(info.classes)} classes, "
                f"{arch.in_channels} inputs for {info.channels} channels",
            )
        return cls(_build(arch, state, path), info)

    @classmethod
    def _from_torch_file(cls, path: Path) -> Model:
        state = load_torch_file(path)
        for key in ("state_dict", "model_state_dict", "model"):
            if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
                state = state[key]
        if not isinstance(state, Mapping):
            raise ModelError(_NOT_OURS, path, _ONLY_WEIGHTS)
        weights = {str(k).removeprefix("module."): v for k, v in state.items() if isinstance(v, Tensor)}
        try:
            arch = Arch.from_state(weights)
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(_NOT_OURS, path, _ONLY_WEIGHTS, repr(error)) from error
        return cls(_build(arch, weights, path), tutorial_info(arch))


def _check_numbers(info: ModelInfo) -> None:
    """Raise ValueError or TypeError where a description cannot be computed with."""
    normal, views = Normalisation.from_json(info.normalisation), info.trained.get("views", 1)
    needed = info.channels if normal.kind == "dataset" else 0
    if normal.kind not in ("image", "dataset", "none") or min(len(normal.mean), len(normal.std)) < needed:
        raise ValueError(f"no normalisation for {info.channels} channels: {normal}")
    if views not in (1, 2, 4):
        raise ValueError(f"{views} views")


def tutorial_info(arch: Arch) -> ModelInfo:
    """Return the description of a network of the tutorial, which says nothing about itself."""
    offsets = [TUTORIAL_LOGIT, 0.0] if arch.outputs == 1 else [0.0] * arch.outputs
    return ModelInfo(
        arch=arch.to_json(),
        classes=default_classes(arch.classes),
        channels=arch.in_channels,
        normalisation=Normalisation("none").to_json(),
        offsets=offsets,
        recipe="tutorial",
        trained={"symmetries": "flips"},
    )


def load_torch_file(path: Path) -> Any:
    """Read a file of ``torch.save`` without running code in it.

    Raises
    ------
    ModelError
        The file cannot be read, or holds anything but tensors and plain values.
    """
    try:
        # opened here, as torch goes by the suffix of a path; what it warns of becomes an error or does not matter
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        plain = open_error(path, error, "model")
        raise ModelError(plain.message, path, plain.hint, plain.details) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(_NOT_OURS, path, _ONLY_WEIGHTS, str(error)[:2000]) from error


def state_dict_bytes(state: Mapping[str, Any]) -> bytes:
    """Return what ``torch.save`` writes."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def _build(arch: Arch, state: Mapping[str, Tensor], path: Path) -> UNet:
    """Build the network around the weights, after checking that they are of its sizes."""
    with torch.device("meta"):  # a header may claim any size: nothing is allocated before it is believed
        net = UNet(arch)
    wanted = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in state.items()}
    missing = [k for k in wanted if k not in found and not k.endswith("num_batches_tracked")]
    wrong = [k for k in wanted if k in found and found[k] != wanted[k]]
    unknown = [k for k in found if k not in wanted]
    if missing or wrong or unknown:
        details = f"missing: {missing[:5]}; of another size: {wrong[:5]}; unknown: {unknown[:5]}"
        raise ModelError("does not hold the weights of the network it describes.", path, details=details)
    full = {k: state[k] if k in state else torch.zeros((), dtype=torch.long) for k in wanted}
    full = {k: v.float() if v.is_floating_point() else v for k, v in full.items()}
    net.load_state_dict(full, assign=True)
    return net
