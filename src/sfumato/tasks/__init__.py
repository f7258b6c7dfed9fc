"""What people do with the codes of a fitted model: paths between them, single latents moved, attributes, neighbours."""

from sfumato.tasks.geodesics import geodesic, stretch_lengths
from sfumato.tasks.latent_moves import attribute_direction, nearest_codes, usual_values, with_latent_at
from sfumato.tasks.paths import mixed_conditions, spherical, straight
from sfumato.tasks.walks import PathKind, known_codes, path_between

__all__ = [
    "PathKind",
    "attribute_direction",
    "geodesic",
    "known_codes",
    "mixed_conditions",
    "nearest_codes",
    "path_between",
    "spherical",
    "straight",
    "stretch_lengths",
    "usual_values",
    "with_latent_at",
]
