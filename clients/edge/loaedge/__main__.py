"""`python -m loaedge` is `loa`."""

from loaedge.main import main

main()
