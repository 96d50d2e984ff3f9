"""The mixing core: from the blocks of many inputs to the blocks of many buses, 20 ms at a time.

One operator a file, all of them float32, in place and without allocation while they run; `engine` puts them together.
Nothing here knows a network, a clock or a file: time comes as blocks.
"""
