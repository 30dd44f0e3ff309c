"""What readers of evaluation harnesses and agent frameworks need: one program each."""
