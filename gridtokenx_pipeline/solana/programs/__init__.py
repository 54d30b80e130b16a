"""The project's own on-chain programs: images, ids, interface descriptions and addresses."""
