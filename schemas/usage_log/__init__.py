"""The usage.events log: continuity checks, change and recovery of generations, offsets given up."""
