"""What an LLM is shown: versioned prompt families, content fenced as data, and a budget."""
