"""Deterministic simulation of one account: fake time, fake service, fake faults, every order drawn from one seed."""
