"""Random changes of training images, against what each of them is by definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato import data
from sfumato.data.core.batching.transforms import Binarised
from sfumato.data.core.options import RANDOM_TRANSFORMS, DataOptions
from sfumato.data.images.random_transforms import LARGEST_SHIFT, TRANSFORMS, ImageTransforms
from sfumato.errors import SfumatoError


def images(count: int = 40, channels: int = 3, side: int = 16) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side), generator=draw, dtype=torch.uint8)


def drawn(name: str, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return ImageTransforms([name], 256).afresh(x, len(x), slice(0, len(x)))


def test_every_name_of_the_option_has_a_transform() -> None:
    assert tuple(TRANSFORMS) == RANDOM_TRANSFORMS


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_levels_stay_levels_and_processes_together_draw_as_one(name: str, channels: int) -> None:
    x = images(9, channels)
    whole = drawn(name, x)
    assert (whole.shape, whole.dtype) == (x.shape, x.dtype)
    assert not torch.equal(whole, x)
    for mine in (slice(0, 5), slice(5, 9)):
        torch.manual_seed(0)
        assert torch.equal(ImageTransforms([name], 256).afresh(x[mine], 9, mine), whole[mine])


def test_half_of_the_images_are_mirrored() -> None:
    x = images(400, 1)
    changed = drawn("flip", x)
    mirrored = torch.tensor([torch.equal(one, other.flip(2)) for one, other in zip(changed, x, strict=True)])
    kept = torch.tensor([torch.equal(one, other) for one, other in zip(changed, x, strict=True)])
    assert bool((mirrored ^ kept).all())
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.1)


def test_shifts_are_whole_pixels_and_repeat_the_edge() -> None:
    x, most = images(200, 2), int(16 * LARGEST_SHIFT)
    padded = torch.nn.functional.pad(x.float(), (most,) * 4, mode="replicate").to(torch.uint8)
    seen = set()
    for one, source in zip(drawn("shift", x), padded, strict=True):
        places = [
            (down, right)
            for down in range(2 * most + 1)
            for right in range(2 * most + 1)
            if torch.equal(one, source[:, down : down + 16, right : right + 16])
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == (2 * most + 1) ** 2


def test_a_crop_of_a_ramp_is_a_flatter_ramp() -> None:
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(50, 1, 64, 64)
    slopes = (drawn("crop", ramp)[:, 0, 32, 40].float() - drawn("crop", ramp)[:, 0, 32, 24].float()) / 64
    assert float(slopes.min()) >= 0.8 - 0.05
    assert float(slopes.max()) <= 1.05
    assert float(slopes.std()) > 0.03
    assert torch.equal(drawn("crop", torch.full((3, 1, 8, 8), 7)), torch.full((3, 1, 8, 8), 7))


def test_grey_images_stay_grey_under_colours_and_opacity_stays() -> None:
    grey = images(20, 1).expand(-1, 3, -1, -1)
    changed = drawn("colour", grey)
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert torch.equal(drawn("colour", images(5, 4))[:, 3], images(5, 4)[:, 3])
    means = drawn("colour", torch.full((300, 1, 2, 2), 100, dtype=torch.uint8)).float().mean((1, 2, 3))
    assert (float(means.min()), float(means.max())) == pytest.approx((80, 120), abs=2)


def test_training_images_alone_change_and_binary_draws_come_last() -> None:
    x = images(60, 1, 8)[:, 0].numpy()
    plain = data.open(x)
    changed = data.open(x, options=DataOptions(random_transforms=("flip", "shift")))
    assert "changed at random at each pass (flip, shift)" in changed.notes[-1]
    for one, other in ((plain.valid, changed.valid), (plain.test, changed.test)):
        assert torch.equal(next(one.epoch(50, seed=1)).x, next(other.epoch(50, seed=1)).x)
    assert torch.equal(plain.train.take(slice(0, 9)).x, changed.train.take(slice(0, 9)).x)
    epochs = [next(changed.train.epoch(50, seed=1)).x for _ in range(2)]
    assert not torch.equal(*epochs)
    draws = ImageTransforms(["flip"], 256, Binarised(256)).afresh(images(9), 9, slice(0, 9))
    assert set(draws.unique().tolist()) == {0.0, 1.0}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SfumatoError, match="random_transforms='flop' is not known; did you mean flip"):
        DataOptions(random_transforms=("flop",))
    dark = np.random.default_rng(0).integers(0, 2, (30, 4, 4), dtype=np.uint8)
    with pytest.raises(SfumatoError, match="black and white"):
        data.open(dark, options=DataOptions(random_transforms=("colour",)))
    with pytest.raises(SfumatoError, match=r"random_transforms.*images"):
        data.open(np.zeros((30, 4)) + np.arange(30)[:, None], options=DataOptions(random_transforms=("flip",)))
