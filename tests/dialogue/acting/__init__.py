"""The product's action names with plain bodies, for tests of the engine and of its way to the actions."""
