"""The processes of one machine: started together, watched, restarted when one dies, stopped together."""
