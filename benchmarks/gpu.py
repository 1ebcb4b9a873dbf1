"""Sampling and training on a GPU, with torch and numpy alone, so that it runs where nothing else is installed.

    python benchmarks/gpu.py chignolin-6 chignolin-6.npz -o gpu [--device cuda] [--epochs 10 --set NAME=VALUE]

The dataset is what ``openmm-cgvae prepare`` wrote for the model. Figures go to ``gpu/gpu.json``, the training to
``gpu/training``; repeated, the command goes on with the latter. Where the other packages are, ``openmm-cgvae export
gpu/training --data chignolin-6.npz`` and ``openmm-cgvae evaluate`` tell how good the model is that took so long.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from timing import matrix_products

sys.path.insert(0, str(Path(__file__).parents[1]))

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.cli.train import settings
from openmm_cgvae.core.device import usable_device
from openmm_cgvae.training import Dataset, Trainer, split_runs

CHUNKS = (256, 1024, 4096, 16384)
# Frames whose operations are counted, on the CPU.
COUNTED = 32
REPEATS = 5


def seconds(function, device):
    """Best wall time of a few calls after one that does not count, each until the device is done."""
    times = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])


@torch.inference_mode()
def machine(device):
    """What the device can do: float32 matrix products, copies on the device, and copies from it."""
    n = 8192 if device.type == "cuda" else 1024
    a, numbers = torch.randn(n, n, device=device), torch.zeros(1 << 26, device=device)
    copied, on_host = torch.empty_like(numbers), torch.empty(numbers.shape)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "GEMM GFLOP/s": 2e-9 * n**3 / seconds(lambda: a @ a, device),
        # Read and written.
        "copy GB/s": 2e-9 * copied.nbytes / seconds(lambda: copied.copy_(numbers), device),
        "to the host GB/s": 1e-9 * numbers.nbytes / seconds(lambda: on_host.copy_(numbers), device),
    }


@torch.inference_mode()
def sampling(name_or_path, beads, device, rates):
    """Frames/s of a model by chunk, on the device and with the copy to the host, and fractions of the rates."""
    module = Model.load(name_or_path).file.module
    noise = torch.randn(max(CHUNKS), beads.shape[1], module.latent, generator=torch.Generator().manual_seed(0))
    beads = beads[np.resize(np.arange(len(beads)), max(CHUNKS))]
    operations = matrix_products(lambda: module(beads[:COUNTED], noise[:COUNTED]))[0] / COUNTED
    module, beads, noise = module.to(device), beads.to(device), noise.to(device)
    figures = {"million operations a frame": 1e-6 * operations}
    for chunk in CHUNKS:
        gigabytes = 12e-9 * module.n_atoms * chunk
        on_device = seconds(lambda n=chunk: module(beads[:n], noise[:n]), device)
        to_host = seconds(lambda n=chunk: module(beads[:n], noise[:n]).cpu(), device)
        figures[f"chunk {chunk}"] = {
            "frames/s": chunk / on_device,
            "frames/s to the host": chunk / to_host,
            "fraction of the GEMM rate": 1e-9 * operations * chunk / on_device / rates["GEMM GFLOP/s"],
            "fraction of the copy rate to the host": gigabytes / to_host / rates["to the host GB/s"],
        }
    return figures


def training(dataset, folder, configs, device):
    """Minutes of all epochs in the folder, and of this call with what follows them."""
    started = time.perf_counter()
    trainer = Trainer(dataset, folder, *configs, device)
    trainer.run()
    with open(folder / "training.csv") as file:
        rows = np.genfromtxt(file, delimiter=",", names=True)
    epochs = np.atleast_1d(rows["seconds"])
    return {
        "epochs": len(epochs),
        "training frames": len(trainer.train_frames),
        "seconds an epoch": float(np.median(epochs)),
        "minutes of the epochs": float(epochs.sum()) / 60,
        "minutes of this call": (time.perf_counter() - started) / 60,
        "validation loss": float(np.atleast_1d(rows["val_loss"])[-1]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="bundled name or model file")
    parser.add_argument("data", metavar="data.npz")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="peptide")
    parser.add_argument("--epochs", type=int, help="the preset's if omitted")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change any setting")
    given = parser.parse_args()
    device, dataset, folder = usable_device(given.device), Dataset.load(given.data), Path(given.output)
    folder.mkdir(exist_ok=True)
    configs = settings(given)
    held_out = configs[1].validation_fraction, configs[1].test_fraction, configs[1].seed
    test = dataset.positions[split_runs(dataset.runs, *held_out)[2]]
    beads = torch.as_tensor(np.einsum("ij,fjk->fik", dataset.spec.projection, test), dtype=torch.float32)
    results = {"machine": machine(device)}
    results["sampling"] = sampling(given.model, beads, device, results["machine"])
    # Figures so far are kept if the time is over during training.
    (folder / "gpu.json").write_text(json.dumps(results, indent=1) + "\n")
    results["training"] = training(dataset, folder / "training", configs, device)
    (folder / "gpu.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
