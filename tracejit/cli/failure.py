"""What a command says when it cannot be done as it was typed."""


class CommandError(Exception):
    """The message names what is wrong and what would be right. Exit code 2."""
