"""Which texts leave next, and what becomes of a failure: rules without I/O, threads or clock."""
