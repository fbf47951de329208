"""The command line, and the only room that wires the others together."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    from kquant.cli.app import main as command_line  # noqa: PLC0415  `--help` of one command loads no other room

    return command_line(arguments)
