"""Data elsewhere: over HTTP, and in the object storage of clouds."""
