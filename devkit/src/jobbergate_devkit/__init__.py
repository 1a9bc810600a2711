"""Tools for authors of plugins, which production installs do not contain."""
