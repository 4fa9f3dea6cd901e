"""Darkroom's Django half: people, pages, credits, the queue. It never imports `worker`."""

__version__ = "0.1.0"
