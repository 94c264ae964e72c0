"""Working packages for plug-ins, written from templates (no torch)."""
