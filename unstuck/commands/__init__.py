"""The commands of `unstuck`, a module each: options, help with examples, what is printed. The rooms do the work."""
