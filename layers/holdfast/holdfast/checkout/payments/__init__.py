"""Payment providers, behind one port; one file a provider."""
