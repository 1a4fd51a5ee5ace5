"""Training: one compiled call per epoch, and the loop around it that saves, stops and resumes."""
