"""Running the network: device, precision, and what only a GPU gains from."""
