"""The ground under the rooms: AWS clients, environment, keys, HTTP, clock, ids and errors."""
