"""aecli: learned maps of image sets, from the shell."""

__version__ = "0.1.0"
