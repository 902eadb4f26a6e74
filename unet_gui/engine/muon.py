"""Muon: steps that move a layer in all directions alike, which learns as much as AdamW in about half the steps.

The gradient of a layer's weights, seen as a matrix, is dominated by a few directions. Muon (Jordan and others 2024,
https://kellerjordan.github.io/posts/muon/) replaces its running mean by the nearest orthogonal matrix, so that what
only few pixels ask for is learned as fast as what most of them do. The layer of the answer, scales and shifts stay with
AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

TURNS = 3
"""Iterations towards the orthogonal matrix. Five come close; after three, the weakest directions, mostly noise in a
small batch, are still held back, and that learned better."""
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial that each iteration applies to the singular values (from Jordan's article)."""
STRENGTH = 3.0
"""Length of a step in each direction, in units of the rate, which then can be the one of AdamW."""


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum, with Nesterov's look ahead.

    Parameters
    ----------
    parameters : iterable of Tensor
        Weights of convolutions ``(out, in, h, w)`` or matrices, seen as ``(out, in * h * w)``.
    lr : float or Tensor
        As for AdamW; a tensor on a graphics card, where a recorded step reads it.
    momentum : float
        Share of the running mean that stays at each step.
    weight_decay : float
        As for AdamW: each step takes ``lr * weight_decay`` of the weights away.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float | Tensor, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "capturable": isinstance(lr, Tensor)}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move the weights by their gradients; nothing here waits for a graphics card."""
        del closure
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for weights in group["params"]:
                if weights.grad is None:
                    continue
                state = self.state[weights]
                if not state:
                    state["mean"] = torch.zeros_like(weights)
                mean = state["mean"].lerp_(weights.grad, 1 - momentum)
                ahead = weights.grad.lerp(mean, momentum).flatten(1)
                weights.mul_(1 - rate * group["weight_decay"])
                weights.sub_(orthogonal(ahead).reshape(weights.shape) * (rate * STRENGTH))


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix whose rows (or columns, where they are fewer) are orthogonal, of length one.

    Singular values from 0.03 of the norm upwards become 0.7 to 1.2, the smallest grow fortyfold; zero stays zero.
    Newton and Schulz's iteration: matrix products alone. Each turn multiplies by a polynomial of ``x @ x.T``. All turns
    are worked out on that small square, and ``x``, often ten times as wide as high, is multiplied once.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    square = x @ x.T
    factor = turn = _turn(square)
    for _ in range(TURNS - 1):
        square = turn @ square @ turn
        turn = _turn(square)
        factor = turn @ factor
    x = factor @ x
    return x.T if tall else x


def _turn(square: Tensor) -> Tensor:
    """Return what one iteration multiplies by, for ``x @ x.T``."""
    a, b, c = COEFFICIENTS
    turn = torch.addmm(square, square, square, beta=b, alpha=c)
    turn.diagonal().add_(a)
    return turn
