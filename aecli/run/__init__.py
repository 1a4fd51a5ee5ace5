"""What a run leaves on disk: its folder, checkpoints and codes, and the data it was trained on."""
