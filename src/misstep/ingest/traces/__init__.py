"""What readers of observability tools share: message shapes of frameworks, runs of a trace."""
