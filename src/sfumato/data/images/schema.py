"""Images: levels 0 … size − 1 of one shape, from arrays or from files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from sfumato import likelihoods
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.batching.transforms import binarised_once
from sfumato.data.core.labelled import LabelledSchema
from sfumato.data.core.labels import Label
from sfumato.data.core.options import DataOptions
from sfumato.data.images import pixels
from sfumato.data.images.pixels import Pixels
from sfumato.data.io import arrays, folder_labels, image_files
from sfumato.errors import SfumatoError
from sfumato.files import replacing
from sfumato.spec import DataSpec, Field


class ImageSchema(LabelledSchema):
    """x = levels, (C, H, W); with `binarise` 0/1 of levels drawn or cut.

    Raw images are arrays of the dtype and layout the schema was learned on; from files they are uint8, (N, H, W)
    if grey and (N, H, W, 3) in colour. Floats from 0 to 1 become 256 levels, 16 bits become 8.

    >>> raw = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    >>> schema = ImageSchema.learn(raw, None, DataOptions())
    >>> schema.spec.shape, schema.spec.fields
    ((1, 2, 2), (Field(kind='level', size=256, missing=False),))
    >>> bool((schema.decode(schema.encode(raw).x) == raw).all())
    True
    """

    kind: ClassVar[str] = "image"

    def __init__(
        self,
        spec: DataSpec,
        *,
        pixels: Pixels,
        binarise: str = "no",
        label: Label | None = None,
        given_rows: Tensor | None = None,
    ) -> None:
        super().__init__(spec, label, given_rows)
        self.pixels = pixels
        self.binarise = binarise

    @classmethod
    def learn(
        cls,
        x: np.ndarray,
        labels: np.ndarray | None,
        options: DataOptions,
        *,
        rows: np.ndarray | None = None,
        name: str = "X",
        levels: int | None = None,
        channels_first: bool = False,
    ) -> ImageSchema:
        """From the rows `rows` (ascending; None for all) of `x` and their labels.

        The number of levels of pixels is a property of the array's format and is taken from all rows of `x`.

        Args:
            x: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 to 4 channels: uint8, booleans, other integers from 0,
                or floats from 0 to 1 (or whole ones from 0 to 255).
            labels: one for each of the chosen rows, or None.
            options: likelihood, binarise, given, size, seed.
            rows: which rows are the training split.
            name: of the array in error messages.
            levels: number of levels where it is known.
            channels_first: how a doubtful 4-D array is read.

        Raises:
            SfumatoError: for values that are not levels, or options that do not fit.
        """
        layout = pixels.layout_of(x.shape, name, channels_first)
        learned = pixels.learn(x, layout, levels, name)
        total = len(x) if rows is None else len(rows)
        likelihood, binarise = _likelihood(options, learned.levels)
        size = learned.levels if binarise == "no" else 2
        label, given = cls.learn_label(labels, options, name)
        spec = DataSpec(
            pixels.shape_of(x.shape, layout),
            (Field("level", size),),
            given,
            likelihood,
            total,
        )
        schema = cls(spec, pixels=learned, binarise=binarise, label=label)
        schema.remember_labels(labels, options.seed)
        return schema

    def levels(self, x: np.ndarray) -> Tensor:
        """Raw images as (N, C, H, W) uint8 levels, before any binarising."""
        p = self.pixels
        if p.top != p.levels - 1:
            x = np.round(x.astype(np.float64) * ((p.levels - 1) / p.top))
        x = np.clip(x, 0, p.levels - 1).astype(np.uint8, copy=False)
        if p.layout == "HW":
            x = x[:, None]
        elif p.layout == "HWC":
            x = np.moveaxis(x, 3, 1)
        return torch.from_numpy(np.array(x, order="C"))

    def encode(self, raw: Any) -> Encoded:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        levels = self.levels(x)
        if self.binarise == "stochastic":
            # Some at a time: the hashes take forty bytes a pixel.
            few = max(arrays.ENTRIES_AT_A_TIME // self.spec.entries, 1)
            levels = torch.cat([binarised_once(part, self.pixels.levels) for part in levels.split(few)])
        elif self.binarise == "threshold":
            levels = (levels >= self.pixels.levels / 2).to(torch.uint8)
        return Encoded(levels, self.encode_label(labels, len(x)))

    def decode(self, x: Tensor, given: Tensor | None = None) -> np.ndarray:
        p = self.pixels
        size = self.spec.fields[0].size
        share = np.clip(x.detach().cpu().double().numpy() / (size - 1), 0, 1)
        dtype = np.dtype(p.dtype)
        raw = (share * p.top if dtype.kind == "f" else np.round(share * p.top)).astype(dtype)
        if p.layout == "HW":
            return raw[:, 0]
        return np.moveaxis(raw, 1, 3) if p.layout == "HWC" else raw

    def as_entries(self, blank: np.ndarray) -> Tensor:
        layout = self.pixels.layout
        channels = blank[:, None] if layout == "HW" else np.moveaxis(blank, 3, 1) if layout == "HWC" else blank
        return torch.from_numpy(np.ascontiguousarray(channels))

    def shown(self, x: Tensor) -> np.ndarray:
        """Levels as (N, H, W, C) uint8 from 0 to 255 for display."""
        share = x.detach().cpu().double().numpy() / (self.spec.fields[0].size - 1)
        return np.moveaxis(np.round(np.clip(share, 0, 1) * 255).astype(np.uint8), 1, 3)

    def read(self, source: Any, *, need_x: bool = True) -> Any:
        if not _is_files(source):
            return self._checked(arrays.load(source), source)
        path = Path(source)
        paths = image_files.find(path) if path.is_dir() else [path]
        image_files.headers(paths)
        labels = folder_labels.labels_of(paths, path) if path.is_dir() else None
        return self.with_labels(self.of_files(paths, str(source)), labels)

    def of_files(self, paths: Sequence[Path], name: str) -> np.ndarray:
        """Raw images of files; `name` is where they are listed, for messages.

        Raises:
            SfumatoError: if a file is damaged, or the schema is of images that no file holds.
        """
        shown = np.empty((len(paths), *self._file_shape(name)), np.uint8)
        return self._from_shown(image_files.pixels(paths, shown))

    def read_with_blanks(self, source: Any) -> tuple[Any, np.ndarray | None]:
        """As in `Schema`; NaN, which is no level, comes as 0."""
        if _is_files(source):
            return self.read(source), None
        loaded, missing = arrays.load(source), None
        if loaded.x.dtype.kind == "f" and (nan := np.isnan(loaded.x)).any():
            loaded, missing = replace(loaded, x=np.where(nan, loaded.x.dtype.type(0), loaded.x)), nan
        return self._checked(loaded, source), missing

    def _checked(self, loaded: arrays.Arrays, source: Any) -> Any:
        """What `read` gives of an array."""
        name = str(source) if isinstance(source, str | Path) else "X"
        pixels.check_shape(loaded.x.shape, name, self.pixels.layout, self.spec.shape)
        pixels.check_levels(loaded.x, name, self.pixels.top)
        pixels.check_scale(loaded.x, name, self.pixels)
        return self.with_labels(loaded.x, loaded.labels)

    def labels_of(self, source: Any) -> np.ndarray | None:
        if not _is_files(source):
            return arrays.load(source).labels
        path = Path(source)
        return folder_labels.labels_of(image_files.find(path), path) if path.is_dir() else None

    def _file_shape(self, name: str) -> tuple[int, int, int]:
        channels, height, width = self.spec.shape
        if channels not in (1, 3):
            raise SfumatoError(f"{name}: this model was trained on {channels} channels; give it a .npy array")
        return height, width, channels

    def _from_shown(self, shown: np.ndarray) -> np.ndarray:
        p = self.pixels
        dtype = np.dtype(p.dtype)
        raw = shown if p.top == 255 else shown.astype(np.float64) * (p.top / 255)
        raw = (raw if dtype.kind == "f" else np.round(raw)).astype(dtype)
        if p.layout == "HW":
            return raw[..., 0]
        return np.moveaxis(raw, 3, 1) if p.layout == "CHW" else raw

    def named(self, raw: Any, source: Any) -> dict[str, list[Any]]:
        """The files, as they lie in their folder."""
        path = Path(source) if isinstance(source, str | Path) else None
        if path is not None and path.is_dir():
            return {"file": [file.relative_to(path).as_posix() for file in image_files.find(path)]}
        if path is not None and path.suffix.lower() in image_files.IMAGE_SUFFIXES:
            return {"file": [path.name]}
        return {}

    def write_beside(self, images: Any, path: str | Path, raw: Any, source: Any) -> None:
        self._write(images, path, self.named(raw, source).get("file"))

    def write(self, raw: Any, path: str | Path) -> None:
        self._write(raw, path, None)

    def write_strips(self, raw: Any, path: str | Path, across: int) -> None:
        """As `write`, a sheet with a row for each strip; .gif shows the strips beside each other, there and back."""
        target = Path(path)
        if target.suffix not in (".png", ".gif"):
            self.write(raw, target)
            return
        shown = self.as_shown(raw)
        with replacing(target) as temporary:
            if target.suffix == ".png":
                image_files.grid(shown, across).save(temporary, format="PNG")
            else:
                image_files.save_moving(shown, temporary, across)

    def as_shown(self, raw: Any) -> np.ndarray:
        """Raw images as (N, H, W, C) uint8 from 0 to 255."""
        shown = np.moveaxis(self.levels(raw[0] if isinstance(raw, tuple) else raw).numpy(), 1, 3)
        return np.asarray(np.round(shown * (255.0 / (self.pixels.levels - 1))), np.uint8)

    def _write(self, raw: Any, path: str | Path, names: Sequence[str] | None) -> None:
        target = Path(path)
        if target.suffix in (".npy", ".npz"):
            arrays.write(raw, target)
            return
        shown = self.as_shown(raw)
        if target.suffix == ".png":
            with replacing(target) as temporary:
                image_files.grid(shown).save(temporary)
        elif not target.suffix:
            image_files.save(shown, target, names)
        else:
            raise SfumatoError(
                f"{path}: images are written as .png (a sheet), .npy, .npz, or into a folder (a name without a dot)"
            )

    def describe(self) -> list[dict[str, str]]:
        channels, height, width = self.spec.shape
        colour = {1: "grey", 2: "grey and opacity", 3: "colour", 4: "colour and opacity"}[channels]
        binary = "" if self.binarise == "no" else f", binarised ({self.binarise})"
        rows = [
            {
                "column": "image",
                "kind": f"{colour}, {height}×{width}",
                "modelled": self.spec.likelihood,
                "missing": "",
                "note": f"{self.pixels.levels} levels{binary}",
            }
        ]
        return [*rows, *self.describe_label()]

    @property
    def example_size(self) -> str:
        channels, height, width = self.spec.shape
        colour = {1: "grey", 2: "grey with opacity", 3: "colour", 4: "colour with opacity"}[channels]
        return f"{width} × {height} pixels, {colour}"

    def log_jacobian(self, x: Tensor) -> Tensor:
        """Gaussian densities are on the scale 0 to 1, so D · log(levels − 1) per image; 0 for the discrete ones.

        Raw units are levels.
        """
        size = self.spec.fields[0].size
        density = likelihoods.named(self.spec.likelihood).density
        return torch.full((len(x),), self.spec.entries * math.log(size - 1) if density else 0.0, device=x.device)

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.shared_entries(),
            "pixels": asdict(self.pixels),
            "binarise": self.binarise,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            pixels=Pixels(**values["pixels"]),
            binarise=values["binarise"],
            **cls.shared_arguments(values),
        )


def _is_files(source: Any) -> bool:
    """Whether it is an image file, or a folder."""
    if not isinstance(source, str | Path):
        return False
    return Path(source).is_dir() or Path(source).suffix.lower() in image_files.IMAGE_SUFFIXES


def _likelihood(options: DataOptions, levels: int) -> tuple[str, str]:
    """Likelihood and binarise with "auto" resolved."""
    likelihood, binarise = options.likelihood, options.binarise
    default = "bernoulli" if levels == 2 or binarise in ("stochastic", "threshold") else "gaussian"
    likelihood = likelihoods.chosen(likelihood, "image", "images", default).name
    if levels == 2:
        return likelihood, "no"
    if binarise == "auto":
        binarise = "stochastic" if likelihood == "bernoulli" else "no"
    return likelihood, binarise
