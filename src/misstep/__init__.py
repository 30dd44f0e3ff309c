"""misstep trains an agent on its own missteps."""

__version__ = "0.1.0"
