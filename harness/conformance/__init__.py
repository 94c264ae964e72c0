"""The conformance suite: whether tasks, base models, samplers and networks do what their cards say."""
