"""Everything Azure and MongoDB on one machine, for the demo and the tests. Never for production."""
