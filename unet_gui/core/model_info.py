"""What a model file says about itself, read from its header with the standard library alone.

A ``.safetensors`` file begins with eight bytes (the length of the header, little-endian) and the header, a JSON
object; its entry ``__metadata__`` holds texts. Ours has the text ``unet-gui``, a JSON object with the fields of
`ModelInfo`. No code can hide in it, and torch is not needed to show it.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from unet_gui.core.errors import ModelError
from unet_gui.core.headers import open_error, open_file
from unet_gui.core.palette import ClassInfo

METADATA_KEY = "unet-gui"
CHECKPOINT = ".checkpoint"
"""Behind the name of a model: the file that its training goes on from."""
RUNNING, STOPPED, COMPLETE = "running", "stopped", "complete"
"""What `ModelInfo.trained` says under ``state``: how far the training was when the model was written."""
MAX_HEADER = 100 * 10**6
"""Longest header that is read, the limit of the safetensors library."""

_MOST_SIDES = 8
_ZIP = b"PK\x03\x04"
_PICKLE = tuple(bytes((0x80, version)) for version in range(2, 6))


@dataclass
class ModelInfo:
    """Description of a trained model.

    Attributes
    ----------
    arch : dict
        What is needed to build the network: kind, width, depth, up-sampling …
    classes : list of ClassInfo
        In the order of the network's outputs.
    channels : int
        Input channels.
    normalisation : dict
        How pixels become numbers for the network.
    offsets : list of float
        Operating point: one number a class, added to the log-probabilities before the largest wins.
    recipe : str
        Name of the recipe.
    trained : dict
        How it was trained: images, epochs, seconds, seed …
    score : dict
        How good it was on the validation images.
    version : str
        Version of the program that wrote it.
    extra : dict
        Fields of newer versions, kept when the model is written again.
    """

    arch: dict[str, Any] = field(default_factory=dict)
    classes: list[ClassInfo] = field(default_factory=list)
    channels: int = 1
    normalisation: dict[str, Any] = field(default_factory=dict)
    offsets: list[float] = field(default_factory=list)
    recipe: str = ""
    trained: dict[str, Any] = field(default_factory=dict)
    score: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def to_metadata(self) -> dict[str, str]:
        """Return the texts for the file's header."""
        known = {name: getattr(self, name) for name in _FIELDS}
        known["classes"] = [info.to_json() for info in self.classes]
        return {"format": "pt", METADATA_KEY: json.dumps({**self.extra, **known})}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> ModelInfo:
        """Return what `to_metadata` wrote.

        Raises
        ------
        ModelError
            The texts are not those of a model of this program.
        """
        if METADATA_KEY not in metadata:
            raise ModelError("was not made by this program.", hint="Choose a model that was trained here.")
        try:
            data = json.loads(metadata[METADATA_KEY])
            classes = [ClassInfo.from_json(entry) for entry in data["classes"]]
            info = cls(
                arch=dict(data["arch"]),
                classes=classes,
                channels=int(data["channels"]),
                normalisation=dict(data["normalisation"]),
                offsets=[float(value) for value in data["offsets"]],
                recipe=str(data.get("recipe", "")),
                trained=dict(data.get("trained", {})),
                score=dict(data.get("score", {})),
                version=str(data.get("version", "")),
                extra={name: value for name, value in data.items() if name not in _FIELDS},
            )
            _check_texts(info.trained)
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
            raise ModelError("has a description that cannot be understood.", details=repr(error)) from error
        if not 1 <= info.channels <= 1024 or not info.classes or len(info.offsets) not in (0, len(info.classes)):
            raise ModelError("has a description that contradicts itself.", details=metadata[METADATA_KEY][:2000])
        return info


def _check_texts(trained: dict[str, Any]) -> None:
    for name in ("chosen_on", "learned_from", "plan"):
        texts = trained.get(name, [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"{name} is no list of texts")


_FIELDS = tuple(entry.name for entry in fields(ModelInfo) if entry.name != "extra")


def read_model_info(path: str | os.PathLike[str]) -> ModelInfo:
    """Return the description in a model file's header.

    Raises
    ------
    ModelError
        The file is missing, not readable, damaged, or no model of this program. A file of Python objects (a pickle)
        is recognised and not opened.
    """
    header = _read_header(Path(path))
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelError("is damaged or not a model.", path, details="the header's texts are not texts")
    try:
        return ModelInfo.from_metadata(metadata)
    except ModelError as error:
        raise ModelError(error.message, path, error.hint, error.details) from error


def weight_count(path: Path) -> int:
    """Return the number of weights in a model file, from the shapes in its header; raises ModelError."""
    return sum(math.prod(entry["shape"]) for name, entry in _read_header(path).items() if name != "__metadata__")


def unfinished(path: Path, info: ModelInfo) -> str:
    """Return what to say of a model whose training did not come to its end.

    Parameters
    ----------
    path : Path
        The model's file.
    info : ModelInfo
        What it says; older models do not say how their training ended.

    Returns
    -------
    str
        "" where nothing is to be said.
    """
    said = {RUNNING: "unfinished", STOPPED: "stopped before its end"}.get(str(info.trained.get("state")), "")
    if said and path.with_name(path.name + CHECKPOINT).exists():
        said += " – can be resumed"
    return said


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(9)
            _refuse_other(path, start)
            (length,) = struct.unpack("<Q", start[:8])
            if not 2 <= length <= min(MAX_HEADER, size - 8):
                raise ModelError("is damaged or not a model.", path, details=f"header of {length} bytes")
            text = start[8:] + file.read(length - 1)
    except OSError as error:
        plain = open_error(path, error, "model")
        raise ModelError(plain.message, path, plain.hint, plain.details) from error
    try:
        header = json.loads(text)
        ends = [_end_of(entry) for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError("is damaged or not a model.", path, details=repr(error)) from error
    if max(ends, default=0) > size - 8 - length:
        raise ModelError("is cut off.", path, "Copy it again from where it came from.")
    return header


def _end_of(entry: dict[str, Any]) -> int:
    """Return where a tensor ends; raises ValueError where its shape cannot be that of so many bytes."""
    (start, end), shape = entry["data_offsets"], entry["shape"]
    whole = all(type(number) is int and number >= 0 for number in (start, end, *shape))
    if not whole or len(shape) > _MOST_SIDES or math.prod(shape) > 2 * (end - start):  # half a byte each, at least
        raise ValueError(f"a tensor of shape {str(shape)[:200]} from byte {start} to {end}")
    return int(end)


def _refuse_other(path: Path, start: bytes) -> None:
    if len(start) < 8:
        raise ModelError("is empty or cut off.", path, "Copy it again from where it came from.")
    if _torch_like(start):
        raise ModelError(
            "is a file of Python objects, which could run code.",
            path,
            "Only weights of the tutorial's network can be taken from such a file.",
        )


def looks_like_torch_file(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins like one of ``torch.save`` (a ZIP archive or a pickle); nothing of it is run."""
    try:
        with open_file(path) as file:
            return _torch_like(file.read(9))
    except OSError:
        return False


def _torch_like(start: bytes) -> bool:
    # the length of a header we accept leaves the upper four bytes zero, and the header begins with a brace
    if start[4:9] == b"\0\0\0\0{":
        return False
    return start[:4] == _ZIP or start[:2] in _PICKLE
