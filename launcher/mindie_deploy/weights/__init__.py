"""The model's files: manifest, proof, plan of a transfer."""
