"""Head starts: attention begins as similarity of features, the memory encoder as the query encoder."""

from __future__ import annotations

import pytest
import torch

from tracker.network import DMBNet
from tracker.training.initialization import keys_from_pca, quiet_mask_stems, scale_values


@pytest.fixture(scope="module")
def model() -> DMBNet:
    torch.manual_seed(0)
    model = DMBNet().eval().requires_grad_(False)
    model.memory_encoder.load_state_dict(model.query_encoder.state_dict(), strict=False)
    return model


def test_keys_keep_the_order_of_the_features_similarities(model: DMBNet) -> None:
    images = torch.randn(12, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    kept = keys_from_pca(model, images)
    assert 0.5 < kept <= 1.0 + 1e-6
    features = model.query_encoder(images)[2]
    key, _ = model.memory_key_value(features)
    query, _ = model.query_key_value(features)
    torch.testing.assert_close(key, query)
    rows, cells = (x.permute(0, 2, 3, 1).flatten(0, 2) for x in (key, features))
    logits = rows @ rows.T / 128**0.5
    assert logits.diagonal().mean() == pytest.approx(12.0, rel=0.15), "as peaked as SELF_SIMILARITY says"
    others = logits - torch.diag(torch.full((len(logits),), torch.inf))
    distances = torch.cdist(cells, cells) + torch.diag(torch.full((len(cells),), torch.inf))
    ranks = (distances < distances.gather(1, others.argmax(1, keepdim=True))).sum(1).float()
    assert ranks.median() < 0.1 * len(cells), "the most attended cell is among the most similar tenth"


def test_with_quiet_stems_the_memory_encoder_nearly_is_the_query_encoder(model: DMBNet) -> None:
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1.0
    expected = model.query_encoder(image)[2]

    def difference() -> float:
        return float((model.memory_encoder(image, mask, 1.0 - mask) - expected).norm() / expected.norm())

    before = difference()
    quiet_mask_stems(model)
    assert difference() < 0.5 * before
    assert difference() > 0, "they are not zero: their gradients would be those of nothing"


def test_values_have_the_variance_of_the_features(model: DMBNet) -> None:
    scale_values(model)
    features = torch.randn(4, 1024, 8, 8, generator=torch.Generator().manual_seed(3))
    value = model.memory_key_value.value(features)[..., 1:-1, 1:-1]
    assert float(value.std()) == pytest.approx(1.0, rel=0.1)
