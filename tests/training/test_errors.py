"""The correlation of errors is found again where it was put."""

import pytest
import torch

from hybridtwin.paths import correlation, correlation_factor, standard_noise
from training.errors import fit_correlation


@pytest.mark.parametrize(("log_decay", "memory_min"), [(0.5, 400.0), (0.2, 2000.0), (0.0, 120.0)])
def test_correlation_is_recovered_from_errors_with_gaps(log_decay, memory_min):
    generator = torch.Generator().manual_seed(4)
    errors = standard_noise(correlation_factor(48, log_decay, memory_min), 20_000, generator)
    errors[torch.rand(errors.shape, generator=generator) < 0.3] = torch.nan
    found_decay, found_memory = fit_correlation(errors)
    wanted, found = (
        correlation(48, log_decay, memory_min),
        correlation(48, found_decay, found_memory),
    )
    assert (wanted - found).abs().max() < 0.05
