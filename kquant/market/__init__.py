"""The data plane: board, bars and triggers as one pure fold of the tape."""
