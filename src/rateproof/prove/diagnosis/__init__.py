"""Diagnosis: a target's apparent policy instead of the declared one."""
