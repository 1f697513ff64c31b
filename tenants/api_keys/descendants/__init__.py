"""What keys have made and own: ending all of it together, and giving it to another owner."""
