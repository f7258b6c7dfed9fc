"""The rate: how many nats the code z carries about x beyond the prior."""

from __future__ import annotations

import torch
import torch.distributed
from torch import Tensor

from sfumato.distributions import Latent, Normal, Posterior, StandardNormal
from sfumato.distributions.noise import joint_rows


def rate(q: Posterior, prior: Latent, z: Tensor) -> Tensor:
    """KL(q(z|x) ‖ p(z)) in nats: per dimension, shape (B, L), where it has a closed form.

    Otherwise its estimate log q(z|x) − log p(z) from the draw z ~ q, unbiased, shape (B, 1). Its gradient reaches q by
    way of z alone (Roeder et al. 2017): unbiased too, and without noise where q(z|x) has the shape of p(z|x).

    >>> q = Normal(torch.ones(1, 3), torch.zeros(1, 3))
    >>> rate(q, StandardNormal(1, 3), q.sample()).sum()
    tensor(1.5000)
    """
    if isinstance(q, Normal) and isinstance(prior, Normal | StandardNormal):
        return q.kl(prior)
    return (q.log_prob_along(z) - prior.log_prob(z)).unsqueeze(1)


def free_bits(rates: Tensor, floor: float, latents: int | None = None) -> Tensor:
    """Σ_l max(λ, KL_l) with the mean over the batch inside the maximum; shape (B, L) to (B,).

    A dimension whose mean rate is below `floor` nats costs exactly `floor` and has no gradient, so it is not pushed
    down any further. Kingma et al. 2016 (improving variational inference with inverse autoregressive flow), eq. 15.
    Where only the rate of several latents together is known, as under a mixture prior, they share their floors.

    Args:
        rates: KL_l of each example.
        floor: λ in nats.
        latents: how many latents there are; None for one for each column of `rates`.

    >>> free_bits(torch.tensor([[0.1, 3.0], [0.3, 1.0]]), 0.5)
    tensor([3.5000, 1.5000])
    """
    if latents is not None:
        floor = floor * latents / rates.shape[1]
    paid = joint_mean(rates.detach()) > floor
    return torch.where(paid, rates, floor).sum(1)


def free_rate(rates: Tensor, floor: float) -> Tensor:
    """max(λ, Σ_l KL_l) with the mean over the batch inside the maximum; shape (B, L) to (B,).

    `free_bits` with all latents in one group: which of them carries the rate is left to the training, so that few
    latents carry much each, where a floor for each is filled by all of them with what the decoder need not read.

    Args:
        rates: KL_l of each example.
        floor: λ in nats.

    >>> free_rate(torch.tensor([[0.1, 3.0], [0.3, 1.0]]), 2.5), free_rate(torch.tensor([[0.1, 3.0], [0.3, 1.0]]), 2.0)
    (tensor([2.5000, 2.5000]), tensor([3.1000, 1.3000]))
    """
    total = rates.sum(1)
    return torch.where(joint_mean(total.detach()) > floor, total, floor)


def charged_rate(rates: Tensor, latents: int, each: float, whole: float) -> Tensor | None:
    """What is to be paid of the rate, (B,), where some of it is free for each latent or for the whole code; else None.

    >>> charged_rate(torch.ones(2, 3), 3, 0.0, 0.0) is None
    True
    """
    if each:
        return free_bits(rates, each, latents)
    return free_rate(rates, whole) if whole else None


def gap_of_mean(rates: Tensor, capacity: float) -> Tensor:
    """|mean rate of the batch − C|, shared out so that its mean over the batch is that gap; shape (B,) to (B,).

    Burgess et al. 2018, eq. 8.

    >>> gap_of_mean(torch.tensor([1.0, 5.0]), 4.0).mean()
    tensor(1.)
    """
    sign = torch.sign(joint_mean(rates.detach()) - capacity)
    return sign * (rates - capacity)


def joint_mean(values: Tensor) -> Tensor:
    """Mean over the rows of the joint batch, whichever processes hold them."""
    total = joint_rows()
    if total is None or total == len(values):
        return values.mean(0)
    summed = values.sum(0)
    torch.distributed.all_reduce(summed)
    return summed / total
