import torch
from conftest import untrained_model


def test_frames_are_encoded_alike_however_many_at_once(dataset):
    model = untrained_model(dataset)
    x = torch.as_tensor(dataset.positions[:20]) * 10
    X = model.project(x.double()).float()
    together = model.encode(x, X)
    model.encoder.frames_at_once = 7
    for encoder in (model.encoder, torch.jit.script(model.encoder)):
        for apart, expected in zip(encoder(x, X), together, strict=True):
            torch.testing.assert_close(apart, expected, rtol=1e-5, atol=1e-6)
