"""The impairment link: a seeded, pure model of a bad path, and a UDP proxy that puts a relay behind one.

`model.Link` decides what becomes of each datagram, `proxy.UdpProxy` does it. See docs/impairment.md.
"""
