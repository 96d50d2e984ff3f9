"""What a run found, shown: the versioned JSON that every scenario writes, its HTML, and the machine's description."""
