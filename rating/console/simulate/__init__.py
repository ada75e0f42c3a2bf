"""Another price on real usage: who would pay more, who less."""
