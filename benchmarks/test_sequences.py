"""The Kalman filter of the benchmark against the joint normal of whole sequences."""

from __future__ import annotations

import torch

import sequences


def test_the_filter_has_the_density_of_the_joint_normal() -> None:
    x = sequences.swing(2000, 0)
    apart = torch.arange(sequences.LENGTH, dtype=torch.float64)
    apart = (apart[:, None] - apart).abs()
    covariance = sequences.DECAY**apart * torch.cos(sequences.ANGLE * apart)
    covariance = covariance + sequences.NOISE * torch.eye(sequences.LENGTH)
    joint = torch.distributions.MultivariateNormal(torch.zeros(sequences.LENGTH, dtype=torch.float64), covariance)
    torch.testing.assert_close(sequences.kalman_log_likelihood(x), joint.log_prob(x[:, :, 0].double()))
    torch.testing.assert_close(x[:, :, 0].T.cov(), covariance.float(), rtol=0, atol=0.15)
