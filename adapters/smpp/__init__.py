"""SMS over SMPP 3.4: PDUs, texts, sessions, and the adapter on top of them."""
