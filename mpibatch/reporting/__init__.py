"""What people read: readers of a run directory, and the words of what they find."""
