"""What readers of coding agents share: rows, blocks and turns of one program each."""
