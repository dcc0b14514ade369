"""`python -m serving`: the same as the command `spp-serve`."""

from serving.command import main

main()
