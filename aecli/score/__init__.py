"""How good a map is: metrics, baselines, and stability over seeds."""
