"""Sweeps: many variants of one model, trained and compared."""
