"""The autoencoder: its layers, their parameters, and the Flax modules built from them."""
