"""What training makes small. Unlabelled pixels are outside: in no numerator, in no denominator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from unet_gui.core.labels import UNLABELLED


def two_logits(logits: Tensor) -> Tensor:
    """Return logits with a channel for each class: a single logit *l* (class 1 against 0) becomes ``(0, l)``."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def cross_entropy_dice(
    logits: Tensor,
    target: Tensor,
    *,
    class_weights: Tensor | None = None,
    dice_share: float = 0.5,
    smooth: float = 1.0,
) -> Tensor:
    """Mean cross-entropy plus soft Dice over the labelled pixels.

    Parameters
    ----------
    logits : Tensor
        ``(n, c, h, w)`` float.
    target : Tensor
        ``(n, h, w)`` uint8 or long, class ids and 255 for unlabelled.
    class_weights : Tensor, optional
        ``(c,)``; the cross-entropy is the mean weighted by them.
    dice_share : float
        Loss = ``(1 - share) * cross-entropy + share * (1 - Dice)``.
    smooth : float
        Pixels added to numerator and denominator of Dice, so that an absent class does not divide by zero.

    Returns
    -------
    Tensor
        Scalar. 0 (with zero gradients) where nothing is labelled.

    Notes
    -----
    Dice is taken over the whole batch, for each class that the batch contains: with small crops a class is often
    absent from one crop, and its Dice there would only say how quiet the network is.
    """
    logits = two_logits(logits).float()
    known = target != UNLABELLED
    safe = torch.where(known, target, torch.zeros_like(target)).long()
    weight = known.float()
    balanced = weight if class_weights is None else weight * class_weights[safe]
    sums = _sums_of_two if logits.shape[1] == 2 else _sums_of_many
    nll, both, said, truth = sums(logits, safe, weight)
    entropy = (nll * balanced).sum() / balanced.sum().clamp_min(1e-6)
    if dice_share <= 0:
        return entropy
    present = (truth > 0).float()
    dice = (2 * both + smooth) / (said + truth + smooth)
    overlap = ((1 - dice) * present).sum() / present.sum().clamp_min(1)
    return (1 - dice_share) * entropy + dice_share * overlap


def _sums_of_two(logits: Tensor, safe: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what `_sums_of_many` does for two classes, where one number a pixel says all: a third of the time."""
    margin = logits[:, 1] - logits[:, 0]
    is_one = safe.float()
    nll = F.softplus(margin * (1 - 2 * is_one))
    p = margin.sigmoid() * weight
    every, said, truth, both = weight.sum(), p.sum(), (weight * is_one).sum(), (p * is_one).sum()
    neither = every - truth - said + both
    return nll, torch.stack([neither, both]), torch.stack([every - said, said]), torch.stack([every - truth, truth])


def _sums_of_many(logits: Tensor, safe: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the loss of each pixel, and for each class the sums of p where it is true, of p, and of truth."""
    log_p = F.log_softmax(logits, dim=1)
    nll = -log_p.gather(1, safe[:, None])[:, 0]
    p = log_p.exp() * weight[:, None]
    ids = torch.arange(logits.shape[1], device=logits.device)[None, :, None, None]
    # products and sums, as adding by index is not repeatable on a graphics card
    hot = torch.empty_like(p).copy_(safe[:, None] == ids) * weight[:, None]
    return nll, (p * hot).sum(dim=(0, 2, 3)), p.sum(dim=(0, 2, 3)), hot.sum(dim=(0, 2, 3))


def masked_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Return the tutorial's loss, binary cross-entropy of one logit, as the mean over the labelled pixels."""
    known = target != UNLABELLED
    loss = F.binary_cross_entropy_with_logits(logits[:, 0].float(), (target == 1).float(), reduction="none")
    return (loss * known).sum() / known.sum().clamp_min(1)
