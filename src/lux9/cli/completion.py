"""`lux9 completion`: what makes a shell complete commands, options, and paths of the served tree."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")

EXAMPLES = """
\b
Examples:
  source <(lux9 completion bash)                                       in ~/.bashrc
  source <(lux9 completion zsh)                                        in ~/.zshrc
  lux9 completion fish > ~/.config/fish/completions/lux9.fish
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell. Paths complete too, from the tree that is being served."""
    made = get_completion_class(shell)
    assert made is not None, shell
    root = click.get_current_context().find_root()
    click.echo(made(root.command, {}, "lux9", "_LUX9_COMPLETE").source())
