"""Network layers that multiply through a design; one way of computing products a file."""
