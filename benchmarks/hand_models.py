"""The rivals of `fit` for every model: the objective of each on raw tensors, in a hand-written loop.

A built model lends its layers; what each player minimises is stated here a second time, in the fewest operations,
with nothing of `models`, `objectives`, `distributions` or `training`. `test_hand_models.py` shows that the losses are
the models' own, number for number, from the same noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
Players = dict[str, Tensor]
Step = Callable[[Tensor, Tensor | None], Players]
"""Examples and conditions to what each player minimises, averaged over the batch."""


def seen(x: Tensor) -> Tensor:
    """Pixels from −1 to 1."""
    return x * (2 / 255) - 1


def normal(layer: nn.Module, h: Tensor) -> tuple[Tensor, Tensor]:
    """μ and log σ of a layer that gives both."""
    mean, log_scale = layer.linear(h).chunk(2, 1)
    return mean, 10 * torch.tanh(log_scale / 10)


def draw(mean: Tensor, log_scale: Tensor) -> Tensor:
    return mean + log_scale.exp() * torch.randn_like(mean)


def log_normal(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    return (-0.5 * ((x - mean) * torch.exp(-log_scale)).square() - log_scale - HALF_LOG_2PI).sum(1)


def rate_of(mean: Tensor, log_scale: Tensor) -> Tensor:
    return (0.5 * (mean.square() + torch.exp(2 * log_scale) - 1) - log_scale).sum(1)


def rate_between(q: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> Tensor:
    gap = q[1] - p[1]
    return (0.5 * (torch.exp(2 * gap) + ((q[0] - p[0]) * torch.exp(-p[1])).square() - 1) - gap).sum(1)


def squared(x: Tensor, raw: Tensor) -> Tensor:
    """−log p of pixels under N(sigmoid(raw), 1) on [0, 1]."""
    return (0.5 * (x / 255 - torch.sigmoid(raw)).square() + HALF_LOG_2PI).flatten(1).sum(1)


def vae(m: nn.Module, *, beta: float = 1.0) -> Step:
    def step(x: Tensor, given: Tensor | None) -> Players:
        q = normal(m.encoder.normal, m.encoder.body(seen(x)))
        raw = m.decoder.trunk(draw(*q))
        return {"model": (squared(x, raw) + beta * rate_of(*q)).mean()}

    return step


def beta_vae(m: nn.Module) -> Step:
    return vae(m, beta=m.beta)


def cvae(m: nn.Module) -> Step:
    def step(x: Tensor, given: Tensor | None) -> Players:
        given = given.masked_fill(torch.rand_like(given) < m.condition_dropout, torch.nan)
        h = m.encoder.body(seen(x))
        q = normal(m.encoder.normal, torch.cat([h, m.encoder.given(given, h)], 1))
        z = draw(*q)
        raw = m.decoder.trunk(torch.cat([z, m.decoder.given(given, z)], 1))
        return {"model": (squared(x, raw) + m.beta * rate_of(*q)).mean()}

    return step


def m2(m: nn.Module) -> Step:
    """The two likeliest classes of an example without a label and one of the others, and one of an example with it."""

    def step(x: Tensor, given: Tensor | None) -> Players:
        pixels, n = seen(x), len(x)
        log_q, label = torch.log_softmax(m.classifier.linear(m.classifier.body(pixels)), 1), given[:, 0]
        known = _counted(m, given)
        with_label, without = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
        own = log_q[without]
        top = own.argsort(dim=1, descending=True, stable=True)[:, :2]
        rest = own.detach().scatter(1, top, -torch.inf)
        mass = rest.logsumexp(1, keepdim=True)
        drawn = torch.searchsorted((rest - mass).exp().cumsum(1), torch.rand(n)[without][:, None]).clamp_max(9)
        log_p = own.gather(1, drawn)
        weight = torch.cat([own.gather(1, top).exp(), (mass + log_p - log_p.detach()).exp()], 1)
        y = torch.cat([label[with_label].long(), torch.cat([top, drawn], 1).flatten()])
        index, c = torch.cat([with_label, without.repeat_interleave(3)]), y[:, None].float()
        h = m.encoder.body(pixels)[index]
        mean, log_scale = normal(m.encoder.normal, torch.cat([h, m.encoder.given(c, h)], 1))
        z = mean + log_scale.exp() * torch.randn(n, mean.shape[1])[index]
        cost = squared(x[index], m.decoder.trunk(torch.cat([z, m.decoder.given(c, z)], 1))) + rate_of(mean, log_scale)
        first, others = cost[: len(with_label)], cost[len(with_label) :].view(-1, 3)
        centred = (others - others[:, :1]).detach()
        weighed = weight.detach() * others + (weight - weight.detach()) * centred
        return {"model": (first.sum() + weighed.sum()) / n + _of_classes(m, log_q, label)}

    return step


def m1_m2(m: nn.Module) -> Step:
    """Every class of the latents of an example without a label, and one of an example with it."""

    def layer(net: nn.Module, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return normal(net.normal, net.body(torch.cat([z, net.given(c, z)], 1)))

    def step(x: Tensor, given: Tensor | None) -> Players:
        pixels, n, label = seen(x), len(x), given[:, 0]
        q1 = normal(m.encoder.normal, m.encoder.body(pixels))
        z1 = draw(*q1)
        log_q, known = torch.log_softmax(m.classifier(z1), 1), _counted(m, given)
        with_label, without = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
        index = torch.cat([with_label, without.repeat_interleave(10)])
        y = torch.cat([label[with_label].long(), torch.arange(10).repeat(len(without))])
        code, c = z1[index], y[:, None].float()
        mean, log_scale = layer(m.upper, code, c)
        z2 = mean + log_scale.exp() * torch.randn(n, mean.shape[1])[index]
        inner = rate_of(mean, log_scale) - log_normal(code, *layer(m.lower, z2, c))
        first, others = inner[: len(with_label)], inner[len(with_label) :].view(-1, 10)
        log_q1 = log_normal(z1, q1[0].detach(), q1[1].detach())
        total = (squared(x, m.decoder.trunk(z1)) + log_q1).sum() + first.sum() + (log_q[without].exp() * others).sum()
        return {"model": total / n + _of_classes(m, log_q, label)}

    return step


def _counted(m: nn.Module, given: Tensor) -> Tensor:
    """Which examples have a label, after they were counted."""
    shares = (given == torch.arange(10)).double().mean(0)
    m.class_prior.counted.add_(torch.cat([torch.ones(1, dtype=torch.float64), shares]))
    return ~given[:, 0].isnan()


def _of_classes(m: nn.Module, log_q: Tensor, label: Tensor) -> Tensor:
    """What the loss has of classes alone."""
    known, log_p = ~label.isnan(), torch.log_softmax(m.class_prior.logits, 0)
    y, lq = label[known].long(), log_q[~known]
    counted = m.class_prior.counted
    scarce = (counted[0] / counted[1:].sum()).float()
    told = -log_q[known].gather(1, y[:, None]).sum()
    return (m.alpha * scarce * told - log_p[y].sum() + (lq.exp() * (lq - log_p)).sum()) / len(label)


def _discrepancy(latents: int) -> Callable[[Tensor], Tensor]:
    """Unbiased MMD² of draws z ~ q and N(0, 1), with the mean of seven inverse multiquadratics.

    What concerns N(0, 1) is known: the kernel is a mixture of Gaussians, by the trapezoidal rule.
    """
    widths = [2.0 * latents * scale for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    held = np.array(widths)
    inverse = np.exp(np.arange(np.log(1e-14 / held.max()), np.log(40 / held.min()), 0.4))
    t = held[:, None] * inverse
    squares, mixed = 1 / inverse, 0.4 * (t * np.exp(-t)).mean(0)
    of_normal = float((mixed * (squares / (squares + 4)) ** (latents / 2)).sum())
    decay = torch.from_numpy(1 / (squares + 2)).float().ravel()
    share = torch.from_numpy(mixed * (squares / (squares + 2)) ** (latents / 2)).float().ravel()

    def apart(z: Tensor) -> Tensor:
        n, length = len(z), z.square().sum(1)
        gaps = (length[:, None] + length - 2 * z @ z.T).clamp_min(0)
        kernel = sum(width / (width + gaps) for width in widths) / len(widths)
        among = (kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))
        return among - 2 * (torch.exp(-length[:, None] * decay) @ share).mean() + of_normal

    return apart


def info_vae(m: nn.Module) -> Step:
    apart = _discrepancy(m.code_size)

    def step(x: Tensor, given: Tensor | None) -> Players:
        q = normal(m.encoder.normal, m.encoder.body(seen(x)))
        z = draw(*q)
        distortion = squared(x, m.decoder.trunk(z))
        return {"model": (distortion + (1 - m.alpha) * rate_of(*q)).mean() + (m.alpha + m.lam - 1) * apart(z)}

    return step


def wae(m: nn.Module) -> Step:
    apart = _discrepancy(m.code_size)

    def step(x: Tensor, given: Tensor | None) -> Players:
        z = draw(*normal(m.encoder.normal, m.encoder.body(seen(x))))
        distortion = squared(x, m.decoder.trunk(z)).mean()
        return {"model": distortion + m.lam * apart(z)}

    return step


def beta_tcvae(m: nn.Module) -> Step:
    def weights(n: int) -> Tensor:
        """Minibatch-stratified: 1/N for itself, (N − 1)/(N(B − 1)) for each other."""
        found = torch.full((n, n), (m.examples - 1) / (m.examples * (n - 1)))
        return found.fill_diagonal_(1 / m.examples).log()

    held: dict[int, Tensor] = {}

    def step(x: Tensor, given: Tensor | None) -> Players:
        mean, log_scale = normal(m.encoder.normal, m.encoder.body(seen(x)))
        z = draw(mean, log_scale)
        w = held.setdefault(len(x), weights(len(x)))
        distortion = squared(x, m.decoder.trunk(z))
        log_q = log_normal(z, mean, log_scale)
        pairs = -0.5 * ((z[:, None] - mean) * torch.exp(-log_scale)).square() - log_scale - HALF_LOG_2PI
        aggregate = torch.logsumexp(w + pairs.sum(2), 1)
        product = torch.logsumexp(w[:, :, None] + pairs, 1).sum(1)
        log_p = (-0.5 * z.square() - HALF_LOG_2PI).sum(1)
        together = aggregate - product
        beta = torch.where(together.mean() > 0, m.beta, 1.0)
        rates = m.alpha * (log_q - aggregate) + beta * together + m.gamma * (product - log_p)
        return {"model": (distortion + rates).mean()}

    return step


def factor_vae(m: nn.Module) -> Step:
    def step(x: Tensor, given: Tensor | None) -> Players:
        q = normal(m.encoder.normal, m.encoder.body(seen(x)))
        z = draw(*q)
        distortion = squared(x, m.decoder.trunk(z))
        half = len(z) - len(z) // 2
        second = z.detach()[half:]
        log_ratio = m.discriminator(z)[:, 0]
        permuted = m.discriminator(second.gather(0, torch.rand_like(second).argsort(0)))[:, 0]
        entropy = 0.5 * (F.softplus(-log_ratio[:half]).mean() + F.softplus(permuted).mean())
        return {
            "model": (distortion + rate_of(*q) + m.gamma * log_ratio).mean(),
            "discriminator": entropy,
        }

    return step


def vae_gan(m: nn.Module) -> Step:
    def step(x: Tensor, given: Tensor | None) -> Players:
        q = normal(m.encoder.normal, m.encoder.body(seen(x)))
        z, z_p = draw(*q), torch.randn(len(x), q[0].shape[1])
        raw = m.decoder.trunk(torch.cat([z, z_p]))
        made = 2 * torch.sigmoid(raw) - 1
        log_odds, features = m.discriminator(torch.cat([seen(x), made]))
        of_real, of_made, of_made_p = log_odds.chunk(3)
        like, unlike, _ = features.chunk(3)
        feature = 0.5 * (like - unlike).square().sum(1).mean()
        real, fake = F.softplus(-of_real).mean(), (F.softplus(of_made) + F.softplus(of_made_p)).mean()
        # The equilibrium rule of the authors' code; who is too good for the other does not move.
        with torch.no_grad():
            costs = torch.stack([real, 0.5 * fake])
            decoder, discriminator = (costs <= 0.68 + 0.4).all(), (costs >= 0.68 - 0.4).all()
            neither = ~(decoder | discriminator)
            a, b = (decoder | neither).float(), (discriminator | neither).float()
        gan = real + fake
        distortion = squared(x, raw[: len(x)].detach()).mean()  # moves nobody; it is told
        return {
            "encoder": rate_of(*q).mean() + feature,
            "decoder": a * (m.gamma * feature - (1 - m.gamma) * gan) + distortion,
            "discriminator": b * gan,
        }

    return step


def sparse_vae(m: nn.Module) -> Step:
    def spike_slab(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_scale = normal(m.encoder.normal, h)
        return mean, log_scale, torch.sigmoid(m.encoder.v(h)).clamp(1e-6, 1 - 1e-6)

    def coin(p: Tensor, q: Tensor) -> Tensor:
        return p * (p.log() - q.log()) + (1 - p) * (torch.log1p(-p) - torch.log1p(-q))

    def step(x: Tensor, given: Tensor | None) -> Players:
        inputs = seen(x)
        mean, log_scale, gamma = spike_slab(m.encoder.body(inputs))
        mean_u, log_scale_u, gamma_u = spike_slab(m.encoder.body(m.prior_net.inputs))
        least = m.prior_net.least
        gamma_u = least + (1 - 2 * least) * gamma_u
        on = torch.sigmoid(m.slope * (torch.rand_like(gamma) - 1 + gamma))
        distortion = squared(x, m.decoder.trunk(on * draw(mean, log_scale)))
        gap = log_scale[:, None] - log_scale_u
        shift = (mean[:, None] - mean_u) * torch.exp(-log_scale_u)
        slab = 0.5 * (torch.exp(2 * gap) + shift.square() - 1) - gap
        rates = (gamma[:, None] * slab + coin(gamma[:, None], gamma_u)).sum(2)
        used = gamma.mean(0)
        sparsity = coin(used, torch.full_like(used, m.alpha)).sum()
        bound = torch.logsumexp(torch.log_softmax(m.prior_net.logits, 0) - rates, 1)
        return {"model": (distortion - bound).mean() + sparsity}

    return step


def sparse_decoder_vae(m: nn.Module) -> Step:
    """On real columns: a learned σ for each."""

    def step(x: Tensor, given: Tensor | None) -> Players:
        w = m.decoder.w
        with torch.no_grad():
            odds = m.eta.log() - torch.log1p(-m.eta) + math.log(m.slab / m.spike)
            slab = torch.sigmoid(odds + (m.spike - m.slab) * w.abs())
            m.p_star.copy_(slab)
            m.eta.copy_(((slab.sum(0) + m.a - 1) / (m.a + m.b + len(w) - 2)).clamp(1e-10, 1 - 1e-6))
        q = normal(m.encoder.normal, m.encoder.body(x))
        directions = F.normalize(m.decoder.first.weight, dim=0)
        h = m.decoder.trunk((draw(*q)[:, None] * w) @ directions.T)
        made = torch.einsum("bjh,jkh->bjk", h, m.decoder.last)[..., 0] + m.decoder.bias[:, 0]
        log_scale = -6 + F.softplus(5 * m.decoder.head.scale.log_scale + 6)
        distortion = -log_normal(x, made, log_scale)
        penalty = ((m.slab * slab + m.spike * (1 - slab)) * w.abs()).sum()
        degrees, scale = 3.0, 0.195
        spread = ((degrees + 2) * log_scale + 0.5 * degrees * scale * torch.exp(-2 * log_scale)).sum()
        return {"model": (distortion + rate_of(*q) / w.shape[1]).mean() + (penalty + spread) / len(x)}

    return step


def vq_vae(m: nn.Module) -> Step:
    """One codebook, started; EMA with revival, and the transformer over the codes."""
    book = m.quantizer
    step_down = 1 - book.decay

    def step(x: Tensor, given: Tensor | None) -> Players:
        z = m.encoder(x, None)
        entries = book.entries[0]
        with torch.no_grad():
            code = (entries.square().sum(1) - 2 * z @ entries.T).argmin(-1)
        value = entries[code]
        commitment = (z - value).square().flatten(1).sum(1)
        with torch.no_grad():
            points, flat = z.flatten(0, 1), code.flatten()
            n = torch.bincount(flat, minlength=book.size).float()
            sums = torch.zeros_like(entries).index_add_(0, flat, points)
            counts = book.counts[0] + step_down * (n - book.counts[0])
            sums = book.sums[0] + step_down * (sums - book.sums[0])
            fresh = points[(torch.rand(book.size) * len(points)).long()]
            dead = counts < 0.05 * counts.mean()
            counts = torch.where(dead, counts.mean(), counts)
            sums = torch.where(dead[:, None], counts.mean() * fresh, sums)
            total = counts.sum()
            book.counts[0], book.sums[0] = counts, sums
            book.entries[0] = sums / ((counts + 1e-5) / (total + len(counts) * 1e-5) * total)[:, None]
            m.code_prior.follow(book.entries)
        raw = m.decoder(z + (value - z).detach())
        return {
            "model": (-raw.log_prob(x) + m.beta * commitment).mean(),
            "prior": -m.code_prior.log_prob(code).mean(),
        }

    return step


def hierarchical_vae(m: nn.Module) -> Step:
    """The ladder without conditions."""
    net, count = m.net, len(m.net.shapes)

    def estimated(layer: nn.Module, h: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = layer.linear(h).chunk(2, 1)
        return mean, 0.5 * torch.log(F.softplus(raw) + 1e-6)

    def step(x: Tensor, given: Tensor | None) -> Players:
        d, ups = seen(x).flatten(1), []
        for up in net.up:
            d = up(d)
            ups.append(d)
        q = estimated(net.estimates[-1], ups[-1])
        rates, z = rate_of(*q), draw(*q)
        for at in range(1, count):
            p = estimated(net.priors[at - 1], net.down[at](z))
            mean, log_scale = estimated(net.estimates[count - 1 - at], ups[count - 1 - at])
            ratio = 2 * (p[1] - log_scale)
            q = p[0] + torch.sigmoid(ratio) * (mean - p[0]), p[1] - 0.5 * F.softplus(ratio)
            rates, z = rates + rate_between(q, p), draw(*q)
        return {"model": (squared(x, net.trunk(z)) + rates).mean()}

    return step


def td_vae(m: nn.Module) -> Step:
    """The paper's loss of whole sequences at even times: with a fixed σ, no clock and no score of forecasts."""

    def layer(part: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        value, gate = part.linear(x).chunk(2, 1)
        return normal(part.normal, torch.tanh(value) * torch.sigmoid(gate))

    def state(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """A draw of both layers, and its log-density."""
        upper = layer(net.upper, x)
        noise = torch.randn(len(x), 2 * upper[0].shape[1])
        first, second = noise.chunk(2, 1)
        u = upper[0] + upper[1].exp() * first
        lower = layer(net.lower, torch.cat([x, u], 1))
        z = lower[0] + lower[1].exp() * second
        return torch.cat([u, z], 1), log_normal(u, *upper) + log_normal(z, *lower)

    def log_state(net: nn.Module, x: Tensor, z: Tensor, stays: Tensor) -> Tensor:
        """Of states whose means are `stays`, plus what the network adds."""
        u, low = z.chunk(2, 1)
        (mean, log_scale), (shift, lower_shift) = layer(net.upper, x), stays.chunk(2, 1)
        lower_mean, lower_log_scale = layer(net.lower, torch.cat([x, u], 1))
        first = log_normal(u, mean + shift, log_scale)
        return first + log_normal(low, lower_mean + lower_shift, lower_log_scale)

    def step(x: Tensor, given: Tensor | None) -> Players:
        n, length = x.shape[:2]
        entered = torch.cat([x, x.new_full((n, length, 1), math.log(2))], 2)
        summed = m.past.recurrent(entered)[0]
        b = torch.cat([m.past.start.expand(n, 1, -1), summed], 1)
        rows = torch.arange(n).repeat_interleave(m.pairs)
        uniform = torch.rand(len(rows), 2)
        second = (uniform[:, 0] * length).long().clamp(max=length - 1) + 1
        farthest = second.clamp(max=m.jump)
        first = second - 1 - torch.minimum((uniform[:, 1] * farthest).long(), farthest - 1)
        b1, b2, passed = b[rows, first], b[rows, second], (second - first).to(x.dtype)
        gone = torch.stack([passed, passed.log1p()], 1)
        z2, log_b2 = state(m.belief, b2)
        z1, log_s = state(m.smoothing.layers, torch.cat([z2, b1, b2, gone], 1))
        made = m.decoder[:-1](z2)
        distortion = -log_normal(x[rows, second - 1], made, m.decoder[-1].log_scale.expand_as(made))
        smoothing = log_s - log_state(m.belief, b1, z1, torch.zeros_like(z1))
        transition = log_b2 - log_state(m.transition.layers, torch.cat([z1, gone], 1), z2, z1)
        return {"model": (distortion + smoothing + transition).mean()}

    return step


STEPS: dict[str, Callable[[nn.Module], Step]] = {
    "vae": vae,
    "beta_vae": beta_vae,
    "cvae": cvae,
    "info_vae": info_vae,
    "m2": m2,
    "m1_m2": m1_m2,
    "wae": wae,
    "beta_tcvae": beta_tcvae,
    "factor_vae": factor_vae,
    "vae_gan": vae_gan,
    "sparse_vae": sparse_vae,
    "sparse_decoder_vae": sparse_decoder_vae,
    "vq_vae": vq_vae,
    "hierarchical_vae": hierarchical_vae,
    "td_vae": td_vae,
}


def train(
    name: str, model: nn.Module, x: Tensor, given: Tensor | None, *, steps: int, batch: int, seed: int = 0
) -> None:
    """`steps` steps on resident data, reshuffled at every pass: one fused Adam a player, nothing read back."""
    step, players = STEPS[name](model), model.players()
    optimizers = {who: model.optimizer(who, parameters, 1e-3, 0.0) for who, parameters in players.items()}
    generator = torch.Generator().manual_seed(seed)
    model.train()
    done = 0
    while done < steps:
        for index in torch.randperm(len(x), generator=generator).split(batch):
            if done == steps:
                return
            losses = step(x.index_select(0, index), None if given is None else given.index_select(0, index))
            for optimizer in optimizers.values():
                optimizer.zero_grad()
            for place, (who, loss) in enumerate(losses.items(), 1):
                own = players[who] if len(players) > 1 else None
                loss.backward(inputs=own, retain_graph=place < len(losses))
            for optimizer in optimizers.values():
                optimizer.step()
            done += 1
