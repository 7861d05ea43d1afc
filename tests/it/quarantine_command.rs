//! What is in quarantine can be seen, tried again and thrown away.
