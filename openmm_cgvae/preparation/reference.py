"""Reference MD to learn from: independent implicit-solvent runs from hot starts, resumable run by run.

Beside ``run-000.dcd`` are kept, in ``run-000-forces.npy``, the forces on the atoms at its frames: (frames, n, 3) in
kJ/mol/nm, those of constraints left out. They are evaluated at the positions that the file holds, so that forces can
just as well be had for runs made elsewhere.
"""

import hashlib
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from openmm_cgvae.atomistic.forcefield import create_system, nearest_name
from openmm_cgvae.cg.mappedforces import evaluate_forces
from openmm_cgvae.core.checks import check_ranges, check_types, checked_number
from openmm_cgvae.core.errors import DataError, MinimizationError, SettingsError, SimulationError
from openmm_cgvae.core.fingerprint import check_same_folder, fingerprint_of
from openmm_cgvae.core.lock import locked
from openmm_cgvae.core.output import complete_output, existing_folder, write_json
from openmm_cgvae.core.platforms import installed_platforms
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.reading import reading
from openmm_cgvae.core.translation import translated
from openmm_cgvae.io.cluster import in_order
from openmm_cgvae.io.results import SETTINGS, read_record
from openmm_cgvae.metrics import cis_trans, handedness
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.preparation.dataset import read_reference
from openmm_cgvae.simulation.reporters import TrajectoryReporter

__all__ = ["ReferenceProtocol", "forces_path", "reference_forces", "sample_reference"]

logger = logging.getLogger(__name__)

# Maximum number of hot bursts that may isomerise the molecule before the run fails.
MAX_BURSTS = 10


@dataclass(frozen=True)
class ReferenceProtocol:
    """How each run is made: minimise, a hot burst, equilibrate, then record.

    Parameters
    ----------
    forcefield : tuple of str
        OpenMM force field files, implicit solvent included.
    temperature, hot_temperature : float
        K.
    burst_ps : tuple of float
        Shortest and longest hot burst; each run draws its own.
    equilibration_ps, interval_ps : float
        Before the first frame, and between frames.
    frames : int
        Frames a run.
    friction : float
        1/ps.
    time_step_ps : float
        With bonds to hydrogen constrained.
    hydrogen_mass : float or None
        amu, for a longer time step.
    solvent_every : int
        Steps for one evaluation of implicit solvent, which on a CPU costs many times the rest (multiple time steps,
        Tuckerman et al., J. Chem. Phys. 97, 1990 (1992)). Keep the time between two below 10 fs.
    """

    forcefield: tuple = ("amber99sbildn.xml", "amber99_obc.xml")
    temperature: float = 300.0
    hot_temperature: float = 900.0
    burst_ps: tuple = (10.0, 40.0)
    equilibration_ps: float = 20.0
    interval_ps: float = 1.0
    frames: int = 500
    friction: float = 2.0
    time_step_ps: float = 0.002
    hydrogen_mass: float | None = None
    solvent_every: int = 1

    def __post_init__(self):
        check_types(self)
        if len(self.burst_ps) != 2 or not 0 <= self.burst_ps[0] <= self.burst_ps[1] < math.inf:
            raise SettingsError(
                f"burst_ps={self.burst_ps} given: a shortest and a longest time, 0 or more, are expected"
            )
        for name in ("equilibration_ps", "hydrogen_mass"):
            if (value := getattr(self, name)) is not None:
                checked_number(name, value, zero=name == "equilibration_ps")
        positive = ("temperature", "hot_temperature", "interval_ps", "frames", "friction", "time_step_ps")
        check_ranges(self, positive=(*positive, "solvent_every"))


def sample_reference(pdb, folder, runs, protocol=None, seed=0, platform=None, progress=True, client=None):
    """Make independent MD runs, one DCD file and one file of forces each.

    A hot burst that turns a peptide bond or a stereocentre, which would stay so to the end of the run, is drawn again.
    Runs that are complete are kept, so that an interrupted call goes on where it was when it is repeated. Run k
    depends on the protocol, `seed` and k alone; ``protocol.json`` beside the runs records both.

    Parameters
    ----------
    pdb : path
        Starting structure with all hydrogens.
    folder : path
        Gets ``run-000.dcd``, ``run-000-forces.npy``, ``run-001.dcd``, ...; created if missing.
    runs : int
    protocol : ReferenceProtocol, optional
    seed : int
    platform : str, optional
        OpenMM platform; one thread of CPU if omitted.
    progress : bool
    client : distributed.Client, optional
        Of a Dask cluster, whose workers make the runs; they are the same.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    DataError
        If the PDB file cannot be read, or no burst leaves the molecule the isomer that it is.
    SettingsError
        If the folder holds runs of another protocol, seed or starting structure.
    MinimizationError
        If the force field does not fit the molecule.
    """
    from openmm.app import PDBFile

    protocol = protocol or ReferenceProtocol()
    if runs < 1:
        raise SettingsError(f"runs={runs} given: 1 or more is expected")
    folder = existing_folder(folder)
    with translated(DataError, f"starting structure {pdb} cannot be read: a PDB file is expected ({{reason}})"):
        start = PDBFile(str(pdb))
    with locked(folder):
        return _sample_runs(start, pdb, folder, runs, protocol, seed, platform, progress, client)


def _sample_runs(start, pdb, folder, runs, protocol, seed, platform, progress, client):
    """Make the runs that are missing."""
    _record(folder / "protocol.json", pdb, protocol, seed, platform)
    paths = [folder / f"run-{k:03d}.dcd" for k in range(runs)]
    missing = [k for k, path in enumerate(paths) if not (path.exists() and forces_path(path).exists())]
    if not missing:
        return paths
    with progress_bar(total=runs, initial=runs - len(missing), shown=progress, unit="run") as bar:
        if client is None:
            simulation = _simulation(start.topology, protocol, platform)
            for k in missing:
                if not paths[k].exists():
                    with complete_output(paths[k]) as temporary:
                        _sample_run(simulation, start.positions, protocol, [seed, k], temporary)
                _keep_forces(_forces(simulation, paths[k]), paths[k])
                logger.info("run %d of %d written to %s", k + 1, runs, paths[k])
                bar.update()
            return paths
        for k, (content, forces) in in_order(client, _Run(start, protocol, seed, platform), missing):
            with complete_output(paths[k]) as temporary:
                temporary.write_bytes(content)
            _keep_forces(forces, paths[k])
            bar.update()
    return paths


class _Run:
    """Makes a run on a worker, by its number: the bytes of its file, and the forces at its frames."""

    def __init__(self, start, protocol, seed, platform):
        self._start, self._how = (start.topology, start.positions), (protocol, seed, platform)

    def __call__(self, k):
        (topology, positions), (protocol, seed, platform) = self._start, self._how
        simulation = _simulation(topology, protocol, platform)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "run.dcd"
            _sample_run(simulation, positions, protocol, [seed, k], path)
            return path.read_bytes(), _forces(simulation, path)


def forces_path(trajectory):
    """Return the path of the forces that belong to a trajectory."""
    return Path(trajectory).with_name(f"{Path(trajectory).stem}-forces.npy")


def reference_forces(trajectories, topology, positions, protocol=None, stride=1, progress=True):
    """Forces on the atoms of reference frames: those kept beside the trajectories, or evaluated where none are.

    Parameters
    ----------
    trajectories : sequence of path
    topology : openmm.app.Topology
    positions : numpy.ndarray, shape (frames, n, 3)
        All frames of the trajectories in nm. They need a DCD file's digits: rounded to 0.001 nm, as in XTC files, a
        stretched bond alone makes an error as large as the forces on beads.
    protocol : ReferenceProtocol, optional
        Its force field is the one to evaluate.
    stride : int
        Every stride-th frame of the trajectories is in `positions`.
    progress : bool

    Returns
    -------
    numpy.ndarray, shape (frames, n, 3)
        kJ/mol/nm, those of constraints left out.

    Raises
    ------
    DataError
        If forces are kept of some trajectories only, are of other frames, or cannot be read.
    MinimizationError
        If the force field does not fit the molecule.
    """
    paths = [forces_path(trajectory) for trajectory in trajectories]
    lacking = [path for path in paths if not path.exists()]
    if len(lacking) == len(paths):
        context = _simulation(topology, protocol or ReferenceProtocol()).context
        return evaluate_forces(context, positions, progress)
    if lacking:
        raise DataError(f"forces {lacking[0]} are missing, {paths[0].parent} has others: keep all, or none")
    forces = np.concatenate([_read_forces(path, positions.shape[1])[::stride] for path in paths])
    if forces.shape != positions.shape:
        raise DataError(f"forces {paths[0]} are of other frames than the trajectories: remove them")
    return forces


def _read_forces(path, n_atoms):
    with reading(path, "file of forces", "'openmm-cgvae sample-reference'", DataError):
        # Mapped, so that no more is taken than the file holds.
        forces = np.load(path, mmap_mode="r", allow_pickle=False)
        if forces.ndim != 3 or forces.shape[1:] != (n_atoms, 3) or forces.dtype.kind != "f":
            raise DataError(f"it holds {forces.dtype} of shape {forces.shape}, forces (frames, {n_atoms}, 3)")
        if not np.isfinite(forces).all():
            raise DataError("it holds forces that are not finite")
        return np.array(forces)


def _forces(simulation, path):
    frames = read_reference([path], as_mdtraj_topology(simulation.topology))[0]
    return evaluate_forces(simulation.context, frames)


def _keep_forces(forces, path):
    with complete_output(forces_path(path)) as temporary:
        np.save(temporary, forces)


def _record(path, pdb, protocol, seed, platform):
    """Write what the runs depend on, or check that it is what they were begun with."""
    digest = hashlib.sha256(Path(pdb).read_bytes()).hexdigest()
    files = {name: fingerprint_of(name) for name in protocol.forcefield}
    record = {"protocol": asdict(protocol), "seed": seed, "pdb_sha256": digest, "forcefield": files,
              "platform": platform or "CPU"}  # fmt: skip
    if path.exists():
        what = f"holds runs of other settings (see {path.name})"
        stored = read_record(path, SETTINGS, "protocol of runs", "'openmm-cgvae sample-reference'")
        check_same_folder(record, stored, path.parent, "give another folder", what)
        return
    write_json(path, record)


def _simulation(topology, protocol, platform=None):
    from openmm import Platform
    from openmm.app import ForceField, HBonds, NoCutoff, Simulation

    names = ", ".join(protocol.forcefield)
    with translated(MinimizationError, f"force field {names} cannot be used ({{reason}}): give OpenMM XML files"):
        forcefield = ForceField(*protocol.forcefield)
    system = create_system(
        topology, forcefield, nonbondedMethod=NoCutoff, constraints=HBonds, hydrogenMass=protocol.hydrogen_mass
    )
    chosen = Platform.getPlatformByName(nearest_name("platform", platform or "CPU", installed_platforms()))
    properties = {"Threads": "1", "DeterministicForces": "true"} if chosen.getName() == "CPU" else {}
    with translated(SimulationError, f"no simulation on platform {chosen.getName()} ({{reason}}): try platform CPU"):
        return Simulation(topology, system, _integrator(system, protocol), chosen, properties)


def _integrator(system, protocol):
    """Create a Langevin integrator, with multiple time steps if the solvent forces are evaluated less often."""
    from openmm import CustomGBForce, GBSAOBCForce, LangevinMiddleIntegrator
    from openmm.mtsintegrator import MTSLangevinIntegrator

    bath, every = (protocol.temperature, protocol.friction), protocol.solvent_every
    if every == 1:
        return LangevinMiddleIntegrator(*bath, protocol.time_step_ps)
    solvent = [force for force in system.getForces() if isinstance(force, CustomGBForce | GBSAOBCForce)]
    if not solvent:
        files = ", ".join(protocol.forcefield)
        raise SettingsError(f"solvent_every={every} given, but {files} has no implicit solvent: leave it at 1")
    for force in solvent:
        force.setForceGroup(1)
    return MTSLangevinIntegrator(*bath, every * protocol.time_step_ps, [(1, 1), (0, every)])


def _set_temperature(integrator, temperature):
    from openmm import CustomIntegrator
    from openmm.unit import MOLAR_GAS_CONSTANT_R, kelvin

    if isinstance(integrator, CustomIntegrator):
        integrator.setGlobalVariableByName("kT", MOLAR_GAS_CONSTANT_R * temperature * kelvin)
    else:
        integrator.setTemperature(temperature)


def _sample_run(simulation, positions, protocol, seed, path):
    _heat(simulation, positions, protocol, np.random.default_rng(seed))
    interval = _steps(protocol.interval_ps, simulation.integrator)
    simulation.currentStep = 0
    # OpenMM's own reporter writes the time of day into the file: a run made again would not be the same to the bit.
    with TrajectoryReporter(path, interval) as reporter:
        simulation.reporters = [reporter]
        try:
            simulation.step(interval * protocol.frames)
        finally:
            simulation.reporters = []


def _heat(simulation, positions, protocol, rng):
    """Minimise, make a hot burst and equilibrate, until the molecule is still the isomer that it was."""
    graph = MolecularGraph.from_topology(as_mdtraj_topology(simulation.topology))
    given = _isomer(positions, graph)
    for _ in range(MAX_BURSTS):
        _burst(simulation, positions, protocol, rng)
        if (_isomer(simulation.context.getState(positions=True).getPositions(asNumpy=True), graph) == given).all():
            return
        logger.info("a hot burst turned a peptide bond or a stereocentre: another is drawn")
    raise DataError(
        f"each of {MAX_BURSTS} hot bursts turned a peptide bond or a stereocentre: lower hot_temperature, "
        f"{protocol.hot_temperature:g} K, or shorten burst_ps"
    )


def _isomer(positions, graph):
    """Which peptide bonds are trans, and which stereocentres are of positive handedness."""
    return np.concatenate([cis_trans(positions, graph)[0], handedness(positions, graph)[0] > 0])


def _burst(simulation, positions, protocol, rng):
    integrator = simulation.integrator
    integrator.setRandomNumberSeed(int(rng.integers(1, 2**31 - 1)))
    # A seed takes effect in a new Context only; preserving the state would preserve the old random numbers too.
    simulation.context.reinitialize()
    simulation.context.setPositions(positions)
    simulation.minimizeEnergy()
    _set_temperature(integrator, protocol.hot_temperature)
    simulation.context.setVelocitiesToTemperature(protocol.hot_temperature, int(rng.integers(1, 2**31 - 1)))
    simulation.step(_steps(rng.uniform(*protocol.burst_ps), integrator))
    _set_temperature(integrator, protocol.temperature)
    simulation.step(_steps(protocol.equilibration_ps, integrator))


def _steps(picoseconds, integrator):
    from openmm.unit import picosecond

    return max(1, round(picoseconds / integrator.getStepSize().value_in_unit(picosecond)))
