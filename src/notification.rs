//! The body of a queue's message to the objects that it announces.
