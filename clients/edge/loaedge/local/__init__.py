"""What a receiver plays by itself: local programmes, quiet hours, and the choice between them and the live sound.

`wallclock` says what time it is, or that nobody knows; `timetable` what is due; `quiet` what is forbidden;
`audiofile` and `programme` read files; `director` decides which programme runs; `selector` mixes what is heard.
"""
