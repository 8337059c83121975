"""Define what is searched, and make the sampler that proposes configurations."""
