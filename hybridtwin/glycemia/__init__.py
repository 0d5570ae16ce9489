"""What clinicians measure."""
