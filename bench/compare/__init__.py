"""The same load on this relay and on the servers people would use instead."""
