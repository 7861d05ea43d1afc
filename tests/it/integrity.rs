//! Which rows of the lake are proven.
