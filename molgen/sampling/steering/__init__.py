"""What a run is steered by beside the model's own ways: guidance, obstacles, energies."""
