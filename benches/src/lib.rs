//! Side-by-side runs; see README.md.
