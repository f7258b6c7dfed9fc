"""Paths between codes against spaces whose geodesics are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sfumato.distributions import Bernoulli, Categorical, Normal
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.spec import DataSpec, Field
from sfumato.tasks import geodesic, mixed_conditions, spherical, straight, stretch_lengths


def onto(surface):
    """A decoder whose mean is the point of a surface."""
    return lambda z: Normal(surface(z), torch.zeros((), dtype=z.dtype))


def plane(z: Tensor) -> Tensor:
    """Radius and angle."""
    return torch.stack([z[:, 0] * z[:, 1].cos(), z[:, 0] * z[:, 1].sin()], 1)


def sphere(z: Tensor) -> Tensor:
    """The unit sphere from its stereographic plane."""
    square = z.square().sum(1, keepdim=True)
    return torch.cat([2 * z, square - 1], 1) / (square + 1)


def cylinder(z: Tensor) -> Tensor:
    """The unit cylinder, from an angle and the cube root of a height."""
    return torch.stack([z[:, 0].cos(), z[:, 0].sin(), z[:, 1] + z[:, 1] ** 3], 1)


def between(surface, a: list[float], b: list[float]) -> tuple[Tensor, Tensor]:
    """Nine points of a geodesic in data, and the lengths of 64 stretches."""
    ends = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    codes = geodesic(onto(surface), *ends, 65)
    assert torch.equal(codes[0], ends[0])
    assert torch.equal(codes[-1], ends[1])
    return surface(codes[::8]), stretch_lengths(onto(surface), codes)


def test_the_geodesic_of_a_linear_decoder_is_the_straight_line():
    matrix = torch.tensor([[3.0, 0.0, 1.0], [0.5, 1.0, 0.0]], dtype=torch.float64)
    a, b = torch.tensor([[1.0, -2.0], [-1.0, 5.0]], dtype=torch.float64)
    assert torch.allclose(geodesic(onto(lambda z: z @ matrix), a, b, 7), straight(a, b, 7), atol=1e-6)


def test_in_polar_coordinates_it_is_the_chord_at_even_distances():
    points, lengths = between(plane, [1.0, 0.0], [2.0, 2.0])
    assert torch.allclose(points, straight(points[0], points[-1], 9), atol=2e-3)
    assert lengths.sum().item() == pytest.approx((points[0] - points[-1]).norm().item(), rel=1e-3)
    assert lengths.max() / lengths.min() < 1.01


def test_on_the_sphere_it_is_the_great_circle():
    points, lengths = between(sphere, [1.2, 0.1], [-0.3, 1.6])
    angle = torch.acos(points[0] @ points[-1]).item()
    assert torch.allclose(points, spherical(points[0], points[-1], 9), atol=2e-3)
    assert lengths.sum().item() == pytest.approx(angle, rel=1e-3)
    assert lengths.max() / lengths.min() < 1.01


def test_on_the_cylinder_it_is_the_helix():
    points, lengths = between(cylinder, [0.0, 0.0], [2.0, 1.0])
    angles = torch.linspace(0, 2, 9, dtype=torch.float64)
    helix = torch.stack([angles.cos(), angles.sin(), angles], 1)
    assert torch.allclose(points, helix, atol=3e-3)
    assert lengths.sum().item() == pytest.approx(math.sqrt(8), rel=1e-3)


def test_latents_that_the_decoder_ignores_go_straight():
    points = geodesic(onto(lambda z: sphere(z[:, :2])), *torch.tensor([[1.2, 0.1, -1.0], [-0.3, 1.6, 1.0]]), 5)
    # At even distances on the sphere, which here are nearly even times.
    assert torch.allclose(points[:, 2], torch.linspace(-1, 1, 5), atol=0.02)
    same = torch.tensor([[0.3, 0.1], [0.3, 2.0]])
    assert torch.equal(geodesic(onto(lambda z: z[:, :1]), *same, 5), straight(*same, 5))


@pytest.mark.parametrize("kind", ["vector", "picture", "table"])
def test_speed_is_constant_whatever_the_likelihood_and_no_path_is_shorter(kind: str):
    torch.manual_seed(1)
    columns = (Field("real"), Field("category", 3), Field("cells", 6))
    spec = {
        "vector": DataSpec((3,), (Field("real"),)),
        "picture": DataSpec((1, 8, 8), (Field("level", 17),), likelihood="logistic_mixture"),
        "table": DataSpec((3,), columns, likelihood="autoregressive"),
    }[kind]
    model = build("vae", spec, latent_dim=3, width=16, depth=2).double().eval().requires_grad_(False)
    a, b = 1.5 * torch.randn(2, 3, dtype=torch.float64)
    lengths = stretch_lengths(model.decode, geodesic(model.decode, a, b, 129)).view(8, 16).sum(1)
    assert lengths.max() / lengths.min() < 1.1
    assert lengths.sum() < stretch_lengths(model.decode, straight(a, b, 65)).sum()


def test_what_is_spelled_symbol_by_symbol_has_no_geodesic():
    model = build("vae", DataSpec((6, 1), (Field("category", 4),), likelihood="categorical", ends=True))
    with pytest.raises(SfumatoError, match="choose the path straight or spherical"):
        geodesic(model.decode, torch.zeros(8), torch.ones(8), 3)


def test_features_are_means_on_the_scale_of_the_data():
    logits = torch.tensor([[0.0, math.log(3.0)]])
    assert Bernoulli(logits).features().tolist() == [[0.5, pytest.approx(0.75)]]
    assert Categorical(logits).features().tolist() == [[pytest.approx(0.25), pytest.approx(0.75)]]


def test_the_spherical_path_goes_by_even_angles_and_radii():
    a, b = torch.randn(2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    path = spherical(a, b, 7)
    assert torch.allclose(path[[0, -1]], torch.stack([a, b]))
    radii = path.norm(dim=1)
    assert torch.allclose(radii.diff(), (radii[-1] - radii[0]) / 6)
    directions = path / radii[:, None]
    angles = (directions[1:] * directions[:-1]).sum(1).acos()
    assert torch.allclose(angles, torch.acos(directions[0] @ directions[-1]) / 6)
    assert torch.equal(spherical(a, -a, 5), straight(a, -a, 5))
    assert torch.equal(spherical(0 * a, b, 5), straight(0 * a, b, 5))


def test_a_missing_condition_stays_missing():
    fields = (Field("category", 3), Field("real"))
    mixed = mixed_conditions(torch.tensor([torch.nan, 1.0]), torch.tensor([2.0, torch.nan]), fields, 4)
    assert mixed[:, 0].isnan().tolist() == [True, True, False, False]
    assert mixed[:, 1].isnan().all()


def test_near_examples_it_goes_around_where_there_are_none():
    # Examples on half a circle, of which the chord between its ends leads away.
    angles = torch.linspace(0, torch.pi, 60, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    plane_itself = onto(lambda z: z * 1.0)
    plain = geodesic(plane_itself, circle[0], circle[-1] + torch.tensor([0.0, 0.2]), 9)
    around = geodesic(plane_itself, circle[0], circle[-1] + torch.tensor([0.0, 0.2]), 129, near=circle)
    assert plain.norm(dim=1).min() < 0.2
    assert around.norm(dim=1).min() > 0.8
    lengths = stretch_lengths(plane_itself, around).view(8, 16).sum(1)
    assert lengths.max() / lengths.min() < 1.05
    same = circle[:1].expand(5, -1)
    assert torch.allclose(geodesic(plane_itself, circle[0], circle[9], 5, near=same), straight(circle[0], circle[9], 5))
