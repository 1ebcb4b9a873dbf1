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


def test_places_by_hand(five_bead_dataset):
    """The first atom of a frame laid out such that its bead and this bead's axes span the xy plane."""
    encoder = untrained_model(five_bead_dataset).encoder.double()
    own, (first, second) = encoder.assignment[0], encoder.bead_axes[encoder.assignment[0]]
    x = torch.as_tensor(five_bead_dataset.positions[:1]).double() * 10
    X = torch.zeros(1, 5, 3, dtype=torch.float64)
    X[0, first, 0], X[0, second, 1] = 3.0, 5.0
    x[0, 0] = X[0, own] + torch.tensor([0.0, 0.0, 4.0])
    places = encoder.places(x, X)[0, 0]
    # Distances 4 and, over sides 4 and 3, 4 and 5; the bead's volume is the height, with a sign.
    expected = torch.tensor([4.0, 5.0, 41.0**0.5], dtype=torch.float64)
    torch.testing.assert_close(places[:3], expected, rtol=0, atol=1e-4)
    x[0, 0, 2] = -4.0
    below = encoder.places(x, X)[0, 0]
    torch.testing.assert_close(below[:3], places[:3])
    assert places[4].abs() > 0.5 and below[4] == -places[4]


def test_a_vibration_is_seen_in_units_of_its_spread(dataset):
    """However small that is: every deviation has mean 0 and spread 1 over the frames of the calibration."""
    encoder = untrained_model(dataset).encoder
    x = torch.as_tensor(dataset.positions).double() * 10
    X = torch.as_tensor(dataset.spec.projection) @ x
    encoder.double().calibrate(x, X)
    deviations = (encoder.places(x, X) - encoder.place_mean) / encoder.place_scale
    torch.testing.assert_close(deviations.mean(0), torch.zeros_like(encoder.place_mean), rtol=0, atol=1e-9)
    torch.testing.assert_close(deviations.std(0), torch.ones_like(encoder.place_mean), rtol=0, atol=1e-6)
