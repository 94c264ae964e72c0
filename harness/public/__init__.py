"""Holds the package that users import; an installation has it at the top, as ``symbench``."""
