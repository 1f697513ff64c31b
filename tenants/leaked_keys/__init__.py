"""Keys that were found in public: reports of them, and what happens to the keys."""
