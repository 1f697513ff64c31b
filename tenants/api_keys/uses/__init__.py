"""How API keys are used: when last, from where, and how often."""
