import torch
from torch import nn

from trainer.support_base.muon import Muon, orthogonalise


def test_orthogonalising_brings_all_singular_values_near_one() -> None:
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 64, 160)))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_it_learns_matrices_and_everything_else() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64))
    optimizer = Muon(model, learning_rate=1e-2, weight_decay=0.0)
    inputs, wanted = torch.randn(256, 64), torch.randn(256, 64)
    losses = []
    for _ in range(60):
        loss = nn.functional.mse_loss(model(inputs), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
