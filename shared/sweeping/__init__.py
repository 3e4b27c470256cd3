"""The parts of the sweep: each looks for one thing that went wrong unseen, and sets it right or tells."""
