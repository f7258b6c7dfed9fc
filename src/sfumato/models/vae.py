"""The variational autoencoder, with the k-sample importance-weighted bound as an option (VAE, IWAE)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from torch import nn

from sfumato.batch import Batch, Loss
from sfumato.errors import SfumatoError
from sfumato.models.latent import LatentModel, check_free, chosen_free
from sfumato.networks import decoder_for, encoder_for, prior_for, sizes_for
from sfumato.objectives import Ramp, charged_rate, doubly_reparametrised, importance_bound, rate
from sfumato.ranges import Count, Natural, Weight
from sfumato.spec import DataSpec, Size


class VAE(LatentModel):
    """Kingma and Welling 2014, Auto-encoding variational Bayes.

        loss(x) = −E_q(z|x) log p(x|z) + w·KL(q(z|x) ‖ p(z))          (one sample; the negative ELBO when w = 1)
        loss(x) = −E log (1/k) Σ_i p(x|z_i) [p(z_i)/q(z_i|x)]^w       (k > 1; Burda et al. 2016)

    The first is called `distortion` + `rate`; w is 1 after the warm-up. Where the KL has no closed form it is estimated
    from the draw of z, and its gradient reaches the encoder by way of z alone (Roeder et al. 2017); so does that of the
    bound of several samples (Tucker et al. 2019). Both are unbiased.

    Args:
        encoder: encoder(x, given, mask) → q(z | x), a `Normal`.
        decoder: decoder(z, given) → p(x | z).
        prior: prior(given, n) → p(z), or the number of latents of a standard normal.
        samples: k.
        free_bits: each latent's mean rate below this many nats is free (Kingma et al. 2016); 0 is the ELBO. Not with
            k > 1.
        warmup: w as a function of the step.

    >>> import torch
    >>> from sfumato.models import build
    >>> from sfumato.spec import DataSpec, Field
    >>> model = build("vae", DataSpec((3,), (Field("real"),)))
    >>> loss = model.losses(Batch(torch.zeros(5, 3)), step=0)["model"]
    >>> sorted(loss.terms), loss.per_example.shape
    (['distortion', 'rate'], torch.Size([5]))
    """

    data_forms = ("vector", "image", "symbols")
    soon_memorises = True
    separable = True
    joint_options = ("samples", "free_bits", "free_rate")
    remedies: ClassVar = {
        "free_bits": "free_bits",
        "free_rate": "free_rate",
        "warmup": "warmup",
        "cycles": "cycles",
        "mixture_prior": "prior",
    }

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        *,
        samples: int = 1,
        free_bits: float = 0.0,
        free_rate: float = 0.0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        if samples > 1 and (free_bits or free_rate):
            held = "free_bits" if free_bits else "free_rate"
            raise SfumatoError(f"{held} holds up a rate, which the bound of several samples does not have: choose one")
        self.samples = samples
        check_free(free_bits, free_rate)
        self.free_bits, self.free_rate = free_bits, free_rate
        self.warmup = warmup

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        weight = self.warmup(step)
        if self.samples > 1:
            q = self.encode(batch).repeat(self.samples)
            z = q.sample()
            log_p, log_ratio = self._weighed(batch, z, q.log_prob_along(z))
            log_weight = log_p + weight * log_ratio
            doubly_reparametrised(z, log_weight, weight)
            bound = importance_bound(log_weight)
            return {
                "model": Loss({"bound": -bound}, metrics={"distortion": -log_p.mean(1), "rate": -log_ratio.mean(1)})
            }

        q = self.encode(batch)
        z = q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        rates = rate(q, self.prior(len(batch), batch.given), z)
        charged = charged_rate(rates, z.shape[1], self.free_bits, self.free_rate)
        if charged is not None:
            terms = {"distortion": distortion, "charged_rate": charged}
            return {"model": Loss(terms, {"charged_rate": weight}, metrics={"rate": rates.sum(1)})}
        return {"model": Loss({"distortion": distortion, "rate": rates.sum(1)}, {"rate": weight})}

    @staticmethod
    def chosen_by_data(
        spec: DataSpec, samples: int = 1, free_bits: float | None = None, free_rate: float | None = None
    ) -> dict[str, float]:
        """Options that follow from the data where they are not given: what of the rate is free.

        >>> from sfumato.spec import Field
        >>> VAE.chosen_by_data(DataSpec((20, 1), (Field("category", 10),)))
        {'free_bits': 0.25}
        """
        return chosen_free(spec, free_bits, free_rate) if samples == 1 else {}

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        prior: Literal["standard", "mixture", "vamp", "flow"] = "standard",
        components: Count = 64,
        samples: Count = 1,
        free_bits: Weight | None = None,
        free_rate: Weight | None = None,
        warmup: Natural = 0,
        cycles: Count = 1,
    ) -> Self:
        """A VAE with networks for `spec`.

        Args:
            prior: standard normal, or learned: a mixture of normals, of posteriors (vamp), or a flow (needs zuko)
            components: components of the mixture prior, or pseudo-inputs of the vamp
            samples: draws of z per example in the importance-weighted bound; 1 is the ELBO
            free_bits: nats of rate that each latent has for free; cures latents that are ignored (default: 0.25 of
                symbols, 0.5 of more than 32, else 0)
            free_rate: nats of rate that the whole code has for free, whichever latents carry it (default: 0.5 of tables
                whose columns are modelled given those before them, unless free_bits is given; else 0)
            warmup: steps over which the weight of the rate rises from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        sizes = sizes_for(spec, size)
        encoder = encoder_for(spec, sizes)
        chosen = cls.chosen_by_data(spec, samples, free_bits, free_rate)
        return cls(
            encoder,
            decoder_for(spec, sizes),
            prior_for(encoder, spec.shape, prior, components),
            samples=samples,
            free_bits=chosen.get("free_bits", free_bits or 0.0),
            free_rate=chosen.get("free_rate", free_rate or 0.0),
            warmup=Ramp(warmup, cycles),
        )
