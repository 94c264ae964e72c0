"""The ground floor: structures, group elements and how they act (pure torch)."""
