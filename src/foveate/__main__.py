"""`python -m foveate` is the command line."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback from the first moment on, see `foveate/__init__.py`."""
    from foveate.cli import main as command_line

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
