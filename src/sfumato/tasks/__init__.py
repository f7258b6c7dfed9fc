"""What people do with a fitted model: move codes, find neighbours and anomalies, compress, compare groups."""

from sfumato.data.sequences.windows import (
    apart_from_each_other,
    cut_windows,
    scores_by_step,
    season_length,
    window_length,
    window_starts,
)
from sfumato.tasks.anomalies import code_distances, entry_costs, example_features, neighbour_distances
from sfumato.tasks.balancing import rows_to_add
from sfumato.tasks.completion import Completer, Particles
from sfumato.tasks.differential import Differences, called, decoder_of, differences
from sfumato.tasks.effects import latent_effects
from sfumato.tasks.fairness import Predictability, predictability, without_linear
from sfumato.tasks.geodesics import geodesic, stretch_lengths
from sfumato.tasks.latent_moves import attribute_direction, nearest_codes, usual_values, with_latent_at
from sfumato.tasks.paths import mixed_conditions, spherical, straight
from sfumato.tasks.selection import Importance, importances, selected, stability
from sfumato.tasks.shrinkage import Shrunken, shrunken
from sfumato.tasks.tail_probabilities import bulk_p_values, conformal_p_values, false_discovery_rates, surprise
from sfumato.tasks.walks import PathKind, known_codes, path_between

__all__ = [
    "Completer",
    "Differences",
    "Importance",
    "Particles",
    "PathKind",
    "Predictability",
    "Shrunken",
    "apart_from_each_other",
    "attribute_direction",
    "bulk_p_values",
    "called",
    "code_distances",
    "conformal_p_values",
    "cut_windows",
    "decoder_of",
    "differences",
    "entry_costs",
    "example_features",
    "false_discovery_rates",
    "geodesic",
    "importances",
    "known_codes",
    "latent_effects",
    "mixed_conditions",
    "nearest_codes",
    "neighbour_distances",
    "path_between",
    "predictability",
    "rows_to_add",
    "scores_by_step",
    "season_length",
    "selected",
    "shrunken",
    "spherical",
    "stability",
    "straight",
    "stretch_lengths",
    "surprise",
    "usual_values",
    "window_length",
    "window_starts",
    "with_latent_at",
    "without_linear",
]
