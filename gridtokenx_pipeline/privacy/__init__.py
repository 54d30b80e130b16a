"""Personal data: who owns a meter, how long detail is kept, and how a person is forgotten without breaking sums."""
