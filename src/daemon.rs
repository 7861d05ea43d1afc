//! The daemon: messages to objects to commits, and only then the messages' deletion.
