//! The feasibility checker behind every verdict.
