"""`mesh`, and `python -m mesh_assets`: the command, before anything is imported that Ctrl-C could break off."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command. While its parts are imported nothing has begun: Ctrl-C ends it in a word."""
    try:
        from mesh_assets.cli import main as command
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(INTERRUPTED)
    command()


if __name__ == "__main__":
    main()
