"""The engine: fair admission, progress, cancellation and draining. Pure Python."""
