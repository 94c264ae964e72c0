"""Where group elements come from: p(g given x)."""
