"""Pictures: maps of codes, reconstructions, the history of a run, grids of images."""
