"""Random changes of training images: mirrored, shifted, cropped, other colours.

They act on levels and give levels, so that every likelihood of images stays what it is. A model of changed images
generates changed images too: choose what could as well have been in the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.data.core.batching.transforms import RandomTransform
from sfumato.errors import SfumatoError
from sfumato.randomness.generators import current

LARGEST_SHIFT = 1 / 8
"""Of a side."""
SMALLEST_CROP = 0.8
"""Of a side."""
COLOUR_RANGE = 0.2
"""Brightness, contrast and saturation are multiplied by 1 − this to 1 + this."""
DRAWS = 3
"""Uniform numbers that each change of an image takes at most."""


class ImageTransforms(RandomTransform):
    """Changes of training images in the order in which they are named, afresh at each pass.

    Args:
        names: of `TRANSFORMS`.
        levels: number of levels of a pixel.
        then: what comes last, such as drawing 0/1; None for nothing.

    Raises:
        SfumatoError: for colours of images that have two levels alone.

    >>> images = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2)
    >>> drawn = {str(ImageTransforms(["flip"], 4).afresh(images, 1, slice(0, 1)).tolist()) for _ in range(50)}
    >>> sorted(drawn)
    ['[[[[0, 1], [2, 3]]]]', '[[[[1, 0], [3, 2]]]]']
    """

    def __init__(self, names: Sequence[str], levels: int, then: RandomTransform | None = None) -> None:
        if levels == 2 and "colour" in names:
            raise SfumatoError("random_transforms=colour: these images are black and white; leave it out")
        self.names, self.levels, self.then = tuple(names), levels, then

    def afresh(self, x: Tensor, joint: int, mine: slice) -> Tensor:
        for name in self.names:
            uniform = torch.rand(joint, DRAWS, device=x.device, generator=current(x.device))[mine]
            x = TRANSFORMS[name](x, uniform, self.levels - 1)
        return x if self.then is None else self.then.afresh(x, joint, mine)

    def once(self, x: Tensor) -> Tensor:
        return x if self.then is None else self.then.once(x)


def flip(x: Tensor, uniform: Tensor, top: int) -> Tensor:
    """Half of the images mirrored left to right.

    Args:
        x: (B, C, H, W) levels, as for all transforms of this module.
        uniform: (B, 3) uniform draws.
        top: the highest level.
    """
    return torch.where(uniform[:, :1, None, None] < 0.5, x.flip(3), x)


def shift(x: Tensor, uniform: Tensor, top: int) -> Tensor:
    """Each image moved by whole pixels, up to `LARGEST_SHIFT` of its sides; what comes in repeats the edge."""
    places = []
    for axis, side in enumerate(x.shape[2:]):
        most = int(side * LARGEST_SHIFT)
        moved = (uniform[:, axis] * (2 * most + 1)).long().clamp(max=2 * most) - most
        places.append((torch.arange(side, device=x.device) - moved[:, None]).clamp(0, side - 1))
    images = torch.arange(len(x), device=x.device)[:, None, None]
    return x.movedim(1, 3)[images, places[0][:, :, None], places[1][:, None, :]].movedim(3, 1)


def crop(x: Tensor, uniform: Tensor, top: int) -> Tensor:
    """A part of each image, `SMALLEST_CROP` of its side or more, scaled to the whole size (bilinear)."""
    share = SMALLEST_CROP + (1 - SMALLEST_CROP) * uniform[:, 0]
    centre = (1 - share)[:, None] * (2 * uniform[:, 1:] - 1)
    theta = torch.zeros(len(x), 2, 3, device=x.device)
    theta[:, 0, 0] = theta[:, 1, 1] = share
    theta[:, :, 2] = centre
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    drawn = functional.grid_sample(x.float(), grid, padding_mode="border", align_corners=False)
    return drawn.round().clamp(0, top).to(x.dtype)


def colour(x: Tensor, uniform: Tensor, top: int) -> Tensor:
    """Brightness, contrast and, with three colours, saturation by random factors; opacity stays."""
    factors = 1 + COLOUR_RANGE * (2 * uniform - 1)
    brightness, contrast, saturation = factors[..., None, None, None].unbind(1)
    colours = x.shape[1] - (x.shape[1] in (2, 4))
    values = x[:, :colours].float() * brightness
    mean = values.mean((1, 2, 3), keepdim=True)
    values = mean + contrast * (values - mean)
    if colours == 3:
        grey = values.mean(1, keepdim=True)
        values = grey + saturation * (values - grey)
    return torch.cat([values.round().clamp(0, top).to(x.dtype), x[:, colours:]], 1)


TRANSFORMS: Mapping[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "flip": flip,
    "shift": shift,
    "crop": crop,
    "colour": colour,
}
"""By the names of `DataOptions.random_transforms`."""
