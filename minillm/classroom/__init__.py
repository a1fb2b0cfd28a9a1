"""What lessons and notebooks need."""
