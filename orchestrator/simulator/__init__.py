"""The production engine in virtual time: proofs of the guarantees, policy tests, and simulations of a change."""
