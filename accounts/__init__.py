"""Who you are and what you may see: sign-in with Entra ID, groups, levels, audit."""
