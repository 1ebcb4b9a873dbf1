import pytest

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.core.output import check_output, complete_output


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frames.dcd"


def test_new_output_in_an_existing_folder_is_accepted(path):
    assert check_output(str(path)) == path


def test_output_in_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"missing of output .* does not exist: create it first"):
        check_output(tmp_path / "missing" / "frames.dcd")


def test_existing_output_is_refused_unless_it_may_be_replaced(path):
    path.write_text("old")
    with pytest.raises(OutputError, match="exists: choose another name, or pass overwrite"):
        check_output(path)
    assert check_output(path, overwrite=True) == path
    assert path.read_text() == "old"


def test_folder_as_output_is_refused_even_if_it_may_be_replaced(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)


def test_output_appears_only_when_complete(path):
    with complete_output(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == path.suffix
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_output_replaces_the_old_file_only_when_complete(path):
    path.write_text("old")
    with complete_output(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_the_old_file_and_nothing_else(path, failure):
    path.write_text("old")
    with pytest.raises(failure), complete_output(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_failure_before_anything_is_written_is_not_hidden(path):
    with pytest.raises(ValueError, match="first"), complete_output(path):
        raise ValueError("first")
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("name", ["x" * 246 + ".dcd", "ü" * 120 + ".dcd", "x" * 251 + ".xtc"])
def test_names_as_long_as_a_file_system_takes_are_written(tmp_path, name):
    with complete_output(tmp_path / name) as temporary:
        temporary.write_text("complete")
        assert temporary.suffix == name[-4:]
    assert [path.name for path in tmp_path.iterdir()] == [name]
