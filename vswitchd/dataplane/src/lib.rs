//! The walk of a frame: one pure function over an immutable snapshot.
