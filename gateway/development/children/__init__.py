"""The demo's own processes, which import while the database starts, and wait for a word before they begin."""
