"""Sampling of new examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.data.core.conditions.values import repeated
from sfumato.data.io import frames
from sfumato.data.tables.rules.constraints import Constraints, RangeOf
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.conditions.missing import filled
from sfumato.estimator.methods.second_stage import SecondStageMixin
from sfumato.estimator.rejection import constrained
from sfumato.isolation import isolated
from sfumato.latents.samplers import Sampler, is_flow_matching
from sfumato.latents.second_stage import sample
from sfumato.models.protocols import Classifies, Samples, require
from sfumato.randomness.generators import chosen_seed, seeded
from sfumato.ranges import is_whole


class GenerationMixin(SecondStageMixin):
    """`sample` of `Autoencoder`."""

    @isolated
    def sample(
        self,
        n: int = 1,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        temperature: float = 1.0,
        top_p: float | None = None,
        marginal: bool = False,
        noise: bool | None = None,
        sampler: str = "auto",
        guidance: float = 1.0,
        complete: bool = False,
        ranges: Mapping[str, RangeOf] | None = None,
        rules: Sequence[str] = (),
        unique: Sequence[str] = (),
    ) -> Any:
        """Draw n new examples x ~ p(x | c), of the kind the model was trained on.

        Args:
            n: how many.
            given: conditions, name → one value, or n values. Those not named are drawn from the training data.
            seed: the same seed gives the same examples; None draws new ones each time.
            temperature: factor on the noise of the latents inside the component, slab or flow that they are drawn
                from; which one it is is drawn by the weights at every temperature. Of discrete codes, what their
                logits are divided by; so are those of each symbol of text.
            top_p: draw each symbol of text, or of other sequences of symbols, from the likeliest that have this
                probability together (nucleus sampling); 1, or None, from all.
            marginal: leave out the conditions that are not named, instead of drawing them; in rows of a table they
                are then drawn from p(c | x), see `sfumato.estimator.conditions.missing`.
            noise: draw x from p(x | z, c); False takes its mean or, for categories, its mode. None draws, except for
                images, whose pixels are independent given z: a draw adds noise to each, and images are shown as means.
            sampler: what codes are drawn from: "prior", the model's own; a density fitted to the codes of the training
                split, "mixture" of normals, "flow" (a neural spline flow) or "flow-matching"; or "auto", what was
                chosen after training, see `second_stage`. What is not fitted yet is fitted now, and kept.
            guidance: how much more typical of their conditions codes are than by chance, where flow matching draws
                them under conditions: v(x, t) + g·(v(x, t, c) − v(x, t)); 1 is as they were learned.
            complete: return rows of a table without missing cells: cells that the model draws as missing get the value
                that it draws for them.
            ranges: columns of a table → least and largest value, either None for no limit, or as text: "18..99".
            rules: conditions on columns of a table, as "start <= end"; see `sfumato.data.tables.rules.expressions`.
            unique: columns of a table in which no value may occur twice. Rows that violate a range, a rule or this are
                drawn again, up to a limit; their share is logged. A missing cell violates nothing.

        Raises:
            SfumatoError: if a condition is unknown or does not take this value, n is no whole number, n or
                temperature is too small, too few of the rows that are drawn keep ranges and rules, or the sampler is
                unknown, or cannot be fitted or guided.
        """
        seed = chosen_seed(seed)
        check_number(n, "example")
        if not 0 <= temperature < math.inf:
            raise SfumatoError(f"temperature is {temperature}: give 0 or more; 1 is the model as it was trained")
        require(self._model(), Samples, "sample")
        schema, given = self.schema_, given or {}
        if top_p is not None and not (schema.spec.is_symbols and 0 < top_p <= 1):
            wanted = "give a number above 0 up to 1" if schema.spec.is_symbols else "that is for sequences of symbols"
            raise SfumatoError(f"top_p is {top_p}: {wanted}")
        codes = self.fitted_sampler(sampler)
        how: dict[str, Any] = {"temperature": temperature, "marginal": marginal, "noise": noise, "codes": codes}
        if schema.spec.is_symbols and (top_p is not None or temperature != 1):
            how["top_p"] = top_p or 1.0
        how |= self._guided(guidance, codes)
        if not (ranges or rules or unique):
            x, conditions = self._drawn(n, given, seed, **how)
            return schema.decode_complete(x, conditions) if complete else schema.decode(x, conditions)
        if not isinstance(schema, TableSchema):
            raise SfumatoError("ranges, rules and unique are for the columns of tables; leave them out")
        listed = {name: repeated(name, value, n) for name, value in given.items()}

        def draw(rows: np.ndarray, round_: int) -> tuple[Tensor, Tensor | None]:
            some = {name: [values[row] for row in rows] for name, values in listed.items()}
            return self._drawn(len(rows), some, (seed + round_) % 2**63, **how)

        constraints = Constraints(schema, ranges, rules, unique)
        absent: dict[str, np.ndarray] | None = {} if complete else None
        table = constrained(draw, lambda x, c: schema.decode_table(x, c, absent), constraints, n)
        return frames.give(table, schema.frame_kind)

    def _drawn(
        self,
        n: int,
        given: Mapping[str, Any],
        seed: int,
        *,
        temperature: float,
        marginal: bool,
        noise: bool | None,
        codes: Sampler | None,
        **guided: float,
    ) -> tuple[Tensor, Tensor | None]:
        """n examples in the units of the spec and their conditions, as `sample` takes them."""
        model = self._model()
        conditions = self.schema_.conditions(given, n, seed=seed, marginal=marginal)
        if noise is None:
            noise = not self.schema_.spec.is_image
        like = next(model.parameters())
        parts = []
        with seeded(like.device, seed, model), torch.inference_mode():
            if isinstance(model, Classifies) and conditions is not None:
                conditions = model.drawn(conditions.to(like)).cpu()
            for rows in inference.slices(n, self.schema_.spec):
                c = None if conditions is None else conditions[rows].to(like)
                x = sample(model, codes, rows.stop - rows.start, c, temperature=temperature, noise=noise, **guided)
                parts.append(x.cpu())
            x = torch.cat(parts)
            if marginal:
                conditions = filled(model, self.schema_, x.to(like), conditions, given, seed=seed)
        return x, conditions

    def _guided(self, guidance: float, codes: Sampler | None) -> dict[str, float]:
        """The option of a sampler that can be guided; refused where there is nothing to guide."""
        if guidance == 1.0:
            return {}
        if not 0 <= guidance < math.inf:
            raise SfumatoError(f"guidance is {guidance}: give 0 or more; 1 is the model as it was trained")
        if not is_flow_matching(codes) or not self.schema_.spec.given:
            raise SfumatoError(
                f"guidance is {guidance}: only flow matching under conditions is guided; choose sampler flow-matching "
                "with a model that is given conditions, or leave guidance out"
            )
        return {"guidance": guidance}


def check_number(n: Any, what: str) -> None:
    if not is_whole(n):
        raise SfumatoError(f"n is {n!r}: give a whole number of {what}s")
    if n < 1:
        raise SfumatoError(f"n is {n}: give at least 1 {what}")
