"""Sign-in to MongoDB with Microsoft Entra ID: credentials, tokens, the driver's callback."""
