"""Which GPU and which cores a rank owns."""
