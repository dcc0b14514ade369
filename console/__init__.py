"""For staff and operators: the command line `spp`."""
