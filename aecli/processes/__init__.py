"""Training on many processes: whether there are several, how they join, agree and end together."""
