"""A few hundred damaged files of every format, each read right or refused in one line; ``make fuzz`` reads 10,000."""

import json

import hypothesis
import pytest
from fuzztargets import NAMES, damaged, make_targets, outcome
from hypothesis import strategies

from openmm_cgvae.core.errors import CGVAEError
from openmm_cgvae.core.reading import parsed_json
from openmm_cgvae.core.schema import either, listing, nothing, number, record, text, whole
from openmm_cgvae.molecule.mapping import CGMapping

CASES = {"model": 12, "checkpoint": 20}


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    return make_targets(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused(name, targets, tmp_path):
    target, found = targets[name], {}
    path = tmp_path / f"file{target.suffix}"
    path.write_bytes(target.content)
    assert outcome(target, path) == "read"
    for seed in range(CASES.get(name, 30)):
        path.write_bytes(damaged(target, seed))
        found.setdefault(outcome(target, path), []).append(seed)
    assert set(found) <= {"read", "refused"}, found
    assert found["refused"]


@pytest.mark.parametrize("name", ["dataset", "checkpoint", "model"])
def test_one_flipped_bit_anywhere_is_refused_by_the_name_of_the_file(name, targets, tmp_path):
    target = targets[name]
    path = tmp_path / f"file{target.suffix}"
    step = 8 * len(target.content) // 25
    for bit in range(3, 8 * len(target.content), step):
        changed = bytearray(target.content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(CGVAEError, match="file"):
            target.read(path)


def test_one_changed_digit_of_a_potential_is_refused(targets, tmp_path):
    content = targets["potential"].content.decode()
    places = [k for k, letter in enumerate(content) if letter.isdigit()]
    path = tmp_path / "potential.json"
    for place in places[:: len(places) // 20]:
        digit = "5" if content[place] != "5" else "6"
        path.write_text(content[:place] + digit + content[place + 1 :])
        with pytest.raises(CGVAEError, match="potential"):
            targets["potential"].read(path)


# ------------------------------------------------------------------------------------------------- any JSON at all


def test_whatever_json_says_a_mapping_is_made_of_it_or_it_is_refused():
    leaves = strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text()
    anything = strategies.recursive(
        leaves, lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(strategies.text(), inner)
    )
    keys = {key: anything for key in ("beads", "weights", "names", "topology")}
    topologies = strategies.fixed_dictionaries({key: anything for key in ("atoms", "residues", "bonds")})
    mappings = strategies.fixed_dictionaries(keys | {"topology": anything | topologies}) | anything

    @hypothesis.settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @hypothesis.given(mappings)
    def check(value):
        try:
            CGMapping.from_dict(value)
        except CGVAEError as error:
            assert "\n" not in str(error)

    check()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 200_000, "without end"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b"9" * 5000, "a number of 5000 digits"),
        (b"[" + b"[]," * 3_000_000 + b"[]]", "lists in JSON"),
        (b"\xff\xfe", "utf-8"),
    ],
)
def test_json_without_measure_is_refused(content, words):
    with pytest.raises(ValueError, match=words):
        parsed_json(content)


def test_a_schema_names_the_entry_that_is_wrong():
    schema = record({"a": listing(either(nothing, number(above=0))), "b": whole(0, 5), "c": text(3)}, ("a",))
    schema({"a": [None, 1, 0.5], "b": 5, "c": "abc", "d": object}, "it")
    for value, words in [
        ({}, "it has no a"),
        ({"a": [1, 0]}, r"it.a\[1\] is 0, a number above 0 is expected"),
        ({"a": [], "b": True}, "it.b is True, a whole number from 0 to 5"),
        ({"a": [], "b": 6}, "it.b is 6"),
        ({"a": [], "c": "abcd"}, "it.c is 'abcd', text of 3"),
        ([], r"it is \[\], an object"),
        ({"a": json.loads("[NaN]")}, r"it.a\[0\] is nan"),
    ]:
        with pytest.raises(ValueError, match=words):
            schema(value, "it")
