"""Network layers that multiply through a design."""
