"""What is done to training examples whenever they are drawn, so that no two passes show the same ones."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sfumato.randomness.generators import current


class RandomTransform(ABC):
    """A random change of training examples at each pass; held-out examples and fixed views stay as `once` has them."""

    @abstractmethod
    def afresh(self, x: Tensor, joint: int, mine: slice) -> Tensor:
        """New draws for examples of a joint batch.

        Args:
            x: this process's examples.
            joint: how many examples all processes have together. What is random is drawn for all of them and cut, so
                that processes together see what one alone would.
            mine: which of the joint batch `x` are.
        """

    @abstractmethod
    def once(self, x: Tensor) -> Tensor:
        """The same draw for the same example wherever and whenever it is met."""


class Binarised(RandomTransform):
    """0/1 draws of images with p(x = 1) = level / (levels − 1).

    >>> transform = Binarised(256)
    >>> transform.once(torch.tensor([[0, 255]], dtype=torch.uint8))
    tensor([[0., 1.]])
    """

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def afresh(self, x: Tensor, joint: int, mine: slice) -> Tensor:
        return binarised_afresh(x, self.levels, joint, mine)

    def once(self, x: Tensor) -> Tensor:
        return binarised_once(x, self.levels)


def binarised_afresh(x: Tensor, levels: int, joint: int, mine: slice) -> Tensor:
    """0/1 draws with p = x / (levels − 1), to within 2^-16 and exact at both ends.

    The noise is drawn for the whole joint batch and cut, so that all processes agree. It is 16 bits a pixel, four
    of which come with each number drawn: to draw a float for each took twice as long.
    """
    pixels = math.prod(x.shape[1:])
    words = torch.randint(-(2**63), 2**63 - 1, (-(-joint * pixels // 4),), device=x.device, generator=current(x.device))
    noise = words.view(torch.int16)[: joint * pixels].view(joint, *x.shape[1:])[mine]
    # In place, as a comparison of integers into booleans takes four times as long as into integers.
    return noise.int().add_(2**15).mul_(levels - 1).lt_(x.int().mul_(2**16)).float()


def binarised_once(x: Tensor, levels: int) -> Tensor:
    """0/1 draws with p = x / (levels − 1) whose noise is a hash of the example itself.

    The same image is the same draw wherever and whenever it is met, and different images have different noise.
    """
    flat = x.flatten(1).long()
    place = _mixed(torch.arange(1, flat.shape[1] + 1, device=x.device))
    noise = _mixed((flat * place).sum(1, keepdim=True) + place)
    uniform = ((noise >> 11) & (2**53 - 1)).double() / 2**53
    return (uniform * (levels - 1) < flat).float().view(x.shape)


def _mixed(value: Tensor) -> Tensor:
    """Splitmix64's finaliser on int64, whose products wrap around."""
    value = value * -7046029254386353131
    value = (value ^ ((value >> 30) & (2**34 - 1))) * -4658895280553007687
    value = (value ^ ((value >> 27) & (2**37 - 1))) * -7723592293110705685
    return value ^ ((value >> 31) & (2**33 - 1))
