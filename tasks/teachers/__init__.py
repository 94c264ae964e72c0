"""Random teachers: targets that are exactly invariant or equivariant under any registered group."""
