//! The limiter table, shared by threads and processes.
