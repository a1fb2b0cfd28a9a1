"""Plumbing: files, tensors, devices, processes, pictures, the terminal. A student need not read it."""
