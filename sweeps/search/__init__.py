"""Define what is searched, and who proposes."""
