"""Rights: who may do what where, and the workers that do it."""
