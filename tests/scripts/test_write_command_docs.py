"""The page on the command line lists every command with its options."""

from scripts.write_command_docs import PAGE, page, table


def test_the_page_is_as_the_commands_are():
    text = PAGE.read_text("utf-8")

    assert page(text) == text, "run `python -m scripts.write_command_docs`"


def test_groups_are_opened_and_arguments_named():
    told = table()

    assert "| `db upgrade` |" in told
    assert "| `status` |" in told
    assert "`ID`" in told
