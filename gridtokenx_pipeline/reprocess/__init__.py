"""Past hours again: proven to be what raw messages make of them (`prove`), or derived anew (`backfill`)."""
