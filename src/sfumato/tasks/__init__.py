"""What people do with codes of a fitted model: paths, single latents moved, attributes, neighbours; and balancing."""

from sfumato.tasks.balancing import rows_to_add
from sfumato.tasks.effects import latent_effects
from sfumato.tasks.fairness import Predictability, predictability, without_linear
from sfumato.tasks.geodesics import geodesic, stretch_lengths
from sfumato.tasks.latent_moves import attribute_direction, nearest_codes, usual_values, with_latent_at
from sfumato.tasks.paths import mixed_conditions, spherical, straight
from sfumato.tasks.selection import Importance, importances, selected, stability
from sfumato.tasks.walks import PathKind, known_codes, path_between

__all__ = [
    "Importance",
    "PathKind",
    "Predictability",
    "attribute_direction",
    "geodesic",
    "importances",
    "known_codes",
    "latent_effects",
    "mixed_conditions",
    "nearest_codes",
    "path_between",
    "predictability",
    "rows_to_add",
    "selected",
    "spherical",
    "stability",
    "straight",
    "stretch_lengths",
    "usual_values",
    "with_latent_at",
    "without_linear",
]
