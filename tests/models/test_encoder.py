import torch
from conftest import untrained_model

from openmm_cgvae.models.encoder import in_frame


def test_frames_are_encoded_alike_however_many_at_once(dataset):
    model = untrained_model(dataset)
    x = torch.as_tensor(dataset.positions[:20]) * 10
    X = model.project(x.double()).float()
    together = model.encode(x, X)
    model.encoder.frames_at_once = 7
    for encoder in (model.encoder, torch.jit.script(model.encoder)):
        for apart, expected in zip(encoder(x, X), together, strict=True):
            torch.testing.assert_close(apart, expected, rtol=1e-5, atol=1e-6)


def test_places_by_hand(five_bead_dataset):
    """The first atom of a frame laid out such that its bead and this bead's axes span the xy plane."""
    encoder = untrained_model(five_bead_dataset).encoder.double()
    own, (first, second) = encoder.assignment[0], encoder.bead_axes[encoder.assignment[0]]
    x = torch.as_tensor(five_bead_dataset.positions[:1]).double() * 10
    X = torch.zeros(1, 5, 3, dtype=torch.float64)
    X[0, first, 0] = 3.0
    X[0, second, :2] = torch.tensor([7.0, 5.0])
    along = x[0, encoder.atom_frames[0]]
    for height in (4.0, -4.0):
        x[0, 0] = torch.tensor([1.0, 2.0, height])
        places = encoder.places(x, X - X[:, own : own + 1])[0, 0]
        expected = torch.cat([x[0, 0], (along - x[0, 0]).norm(dim=-1)])
        torch.testing.assert_close(places[:6], expected, rtol=1e-4, atol=1e-4)
        # What the last says is the side of the plane.
        assert places[7] * height > 0.5


def test_coordinates_in_a_frame_turn_with_it_and_stay_finite_on_a_line():
    generator = torch.Generator().manual_seed(0)
    vectors, first, second = torch.randn(3, 4, 6, 3, generator=generator, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    turn = turn * torch.det(turn)
    expected = in_frame(vectors, first, second)
    torch.testing.assert_close(in_frame(vectors @ turn, first @ turn, second @ turn), expected)
    # Lengths are kept but for the small term, and the mirror image differs in the last coordinate alone.
    torch.testing.assert_close(expected.norm(dim=-1), vectors.norm(dim=-1), rtol=1e-2, atol=0)
    mirrored = in_frame(-vectors, -first, -second)
    torch.testing.assert_close(mirrored, expected * torch.tensor([1.0, 1.0, -1.0]))
    in_line = first.clone().requires_grad_()
    in_frame(vectors, in_line, 2 * in_line).sum().backward()
    assert in_line.grad.isfinite().all()


def test_a_vibration_is_seen_in_units_of_its_spread(dataset):
    """However small that is: every deviation has mean 0 and spread 1 over the frames of the calibration."""
    encoder = untrained_model(dataset).encoder
    x = torch.as_tensor(dataset.positions).double() * 10
    X = torch.as_tensor(dataset.spec.projection) @ x
    encoder.double().calibrate(x, X)
    places = encoder.places(x, X)
    deviations = (places - encoder.place_mean) / encoder.place_scale
    torch.testing.assert_close(deviations.mean(0), torch.zeros_like(encoder.place_mean), rtol=0, atol=1e-9)
    # MD holds twelve lengths, from a hydrogen to its atom and back, fixed: what an XTC makes of them is not heard.
    fixed = places.std(0) < 0.01
    assert fixed.sum() == 12
    assert places.std(0)[fixed].min() > 0.002
    torch.testing.assert_close(deviations.std(0), (~fixed).double(), rtol=0, atol=1e-6)
