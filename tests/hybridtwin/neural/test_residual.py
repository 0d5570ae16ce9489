"""What the flux may read."""

import torch

from hybridtwin.neural.residual import Residual, flux

PEOPLE = 64


def test_the_flux_reads_glucose_only_where_life_goes_on_as_usual() -> None:
    """In a complete plan a dose keeps the size that the body gives it."""
    torch.manual_seed(0)
    residual = Residual(embedding=4, latent=6, hidden=8, flux_hidden=8)
    torch.nn.init.normal_(residual.flux.weight)
    weights = residual.weights()
    for_flux = torch.randn(8, PEOPLE)
    is_open = (torch.arange(PEOPLE) % 2).float()
    low, high = (
        flux(torch.full((PEOPLE,), mg_kg), for_flux, is_open, weights) for mg_kg in (100.0, 400.0)
    )
    assert torch.equal(low[is_open == 0], high[is_open == 0])
    assert (low != high)[is_open == 1].all()
    assert low[is_open == 0].std() > 0, "it still reads its latent state"
