from openmm_cgvae.core.representation import html_table, shown_value


def test_cells_are_escaped_and_numbers_short():
    table = html_table("A & B", [("x<y", 0.123456), ("none", None)], "name", "value")
    assert "A &amp; B" in table and "x&lt;y" in table and ">0.1235<" in table and ">-<" in table
    assert shown_value([1, "a"]) == "1, a"
