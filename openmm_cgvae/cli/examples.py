"""Examples below the ``--help`` of every command; a test parses each."""

__all__ = ["EXAMPLES"]

# ruff: noqa: E501

EXAMPLES = {
    "demo": "openmm-cgvae demo -o demo_output",
    "project": """\
openmm-cgvae project md.xtc --top protein.pdb --model protein-ca -o ca.dcd
openmm-cgvae project md.dcd --top peptide.pdb --model training/model.pt --frames 0:1000:10 -o cg.dcd""",
    "backmap": """\
openmm-cgvae backmap ca.dcd --top ca.pdb --model protein-ca -o aa.dcd
openmm-cgvae backmap cg.dcd --model alanine-dipeptide-3 --samples 4 --minimize --report aa.html -o aa.dcd
openmm-cgvae backmap box.xtc --top box.gro --model alanine-dipeptide-3 --drop W -o aa.pdb""",
    "simulate": """\
openmm-cgvae simulate --model alanine-dipeptide-3 --steps 100000 --report-interval 100 -o aa.dcd
openmm-cgvae simulate --model alanine-dipeptide-3 --copies 125 --box 5 --steps 10000 --report-interval 100 -o aa.dcd""",
    "continue": "openmm-cgvae continue ca.dcd --top ca.pdb --model protein-ca --frame 10 --steps 50000 --solvate 1 -o md.dcd",
    "conformers": 'openmm-cgvae conformers "CC(=O)Oc1ccccc1C(=O)O" -n 20 --optimize mmff -o conformers.sdf',
    "info": """\
openmm-cgvae info
openmm-cgvae info protein-ca --json""",
    "evaluate": """\
openmm-cgvae evaluate test.dcd --top peptide.pdb --model training/model.pt --json figures.json --report report.html
openmm-cgvae evaluate crystals.cif --model protein-ca --json figures.json""",
    "evaluate-conformers": "openmm-cgvae evaluate-conformers ensembles.npz --generators etkdg+mmff ligands -o figures",
    "report": """\
openmm-cgvae report aa.dcd --top aa.pdb -o report.html
openmm-cgvae report --model training/model.pt --reference test.dcd --training training -o report.html""",
    "benchmark": "openmm-cgvae benchmark md-*.dcd --top peptide.pdb --mapping autograin:3 residue --folds 5 -o benchmark",
    "peptide": "openmm-cgvae peptide GEWTYK -o peptide.pdb",
    "sample-reference": "openmm-cgvae sample-reference peptide.pdb --runs 8 --frames 500 -o md",
    "sample-conformers": "openmm-cgvae sample-conformers molecules.smi --seeds 60 -o ensembles",
    "map": "openmm-cgvae map md.dcd --top peptide.pdb --method autograin --beads 5 -o mapping.json",
    "prepare": """\
openmm-cgvae prepare md/run-*.dcd --top peptide.pdb --mapping mapping.json -o data.npz
openmm-cgvae prepare structures/ -o chains.npz""",
    "cg-forcefield": "openmm-cgvae cg-forcefield md/run-*.dcd --top peptide.pdb --mapping mapping.json -o potential.json",
    "learn-forcefield": "openmm-cgvae learn-forcefield md/run-*.dcd --top peptide.pdb --potential potential.json -o learned.pt",
    "train": """\
openmm-cgvae train md/run-*.dcd --top peptide.pdb --mapping mapping.json --preset peptide -o training
openmm-cgvae train structures/ --mapping ca --start protein-ca -o training
openmm-cgvae train ensembles/ensembles.npz --set batch=64 -o training""",
    "export": "openmm-cgvae export training --measure validation --name my-model -o my-model.pt",
}
