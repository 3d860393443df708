"""Errata for programs: an OpenAI-compatible chat, feedback on its replies, and all that an admin may do. Knows no page and no cookie."""
