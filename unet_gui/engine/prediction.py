"""What the model says about an image: class ids, probabilities, doubts."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet_gui.engine.recipe import PredictConfig


@dataclass(frozen=True)
class Prediction:
    """What the model says about one image, or about some rows of it.

    Maps are uint8, 255 = 1, or float32 where `PredictConfig.float_maps` asks for it.

    Attributes
    ----------
    ids : ndarray
        ``(h, w)`` uint8 class ids.
    prob : ndarray or None
        Probabilities: of two classes ``(h, w)``, that of the second; of more ``(c, h, w)`` in the model's order.
    uncertainty : ndarray or None
        ``(h, w)``, entropy of the probabilities, 1 = all classes equally likely.
    disagreement : ndarray or None
        ``(h, w)``, how far the answers for the turned and mirrored views lie apart: the entropy of their mean less
        the mean of their entropies, 1 = as far as can be.
    mean_uncertainty, mean_disagreement : float
        Means over the image, 0…1; NaN when not asked for.
    """

    ids: NDArray[np.uint8]
    prob: NDArray[Any] | None = None
    uncertainty: NDArray[Any] | None = None
    disagreement: NDArray[Any] | None = None
    mean_uncertainty: float = math.nan
    mean_disagreement: float = math.nan

    @classmethod
    def blank(cls, shape: tuple[int, int], classes: int, config: PredictConfig) -> Prediction:
        """Return one to be filled in."""
        kind = np.float32 if config.float_maps else np.uint8
        planes = () if classes == 2 else (classes,)
        return cls(
            np.empty(shape, np.uint8),
            np.empty((*planes, *shape), kind) if config.probabilities else None,
            np.empty(shape, kind) if config.uncertainty else None,
            np.empty(shape, kind) if config.disagreement else None,
        )

    def rows(self, start: int, stop: int) -> Prediction:
        """Return some rows as an image of their own, with its means."""
        prob, *doubts = (
            None if m is None else m[..., start:stop, :] for m in (self.prob, self.uncertainty, self.disagreement)
        )
        part = Prediction(self.ids[start:stop], prob, doubts[0], doubts[1])
        uncertainty, disagreement = (float(v) for v in part.sums() / part.ids.size)
        return dataclasses.replace(part, mean_uncertainty=uncertainty, mean_disagreement=disagreement)

    def sums(self) -> NDArray[np.float64]:
        """Return the sums of uncertainty and disagreement over the pixels."""
        values = [
            math.nan if m is None else float(m.sum(dtype=np.float64)) / (255 if m.dtype == np.uint8 else 1)
            for m in (self.uncertainty, self.disagreement)
        ]
        return np.array(values)


class Sink(Protocol):
    """Takes the rows of an image as they come, so that it need not be in memory whole."""

    def start(self, shape: tuple[int, int], classes: int) -> None:
        """Begin, or begin anew after memory ran out."""

    def put(self, rows: Prediction) -> None:
        """Take the next rows."""


def as_map(values: Tensor, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers 0…1 as they are kept."""
    if kind == np.uint8:
        values = values.mul(255).round().to(torch.uint8)
    return values.cpu().numpy()


def decide(logits: Tensor, offsets: Tensor) -> Tensor:
    """Return the class with the largest ``log p + offset`` as uint8; of two classes the second wins a tie.

    Parameters
    ----------
    logits : Tensor
        ``(c, h, w)``; a constant for all classes of a pixel does not matter.
    offsets : Tensor
        ``(c,)``.
    """
    if logits.shape[0] == 2:
        return (logits[1] - logits[0] >= offsets[0] - offsets[1]).to(torch.uint8)
    return (logits + offsets[:, None, None]).argmax(0).to(torch.uint8)


def entropy(p: Tensor) -> Tensor:
    """Return the entropy of probabilities ``(…, c, h, w)``."""
    return -(p * p.clamp_min(1e-12).log()).sum(-3)
