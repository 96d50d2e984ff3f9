"""`loa edge`: the receiver put together, from its configuration file to the loudspeaker.

`config` reads the file with the tools of `checking`; `keeping` decides which sessions there should be, `session` is one
of them and `sessions` does what was decided; `sound` is the way from the playout to the device; `app` builds and wires
all of it; `doctor` looks for what keeps a receiver silent; `notify` and `unit` are the service manager's side.
"""
