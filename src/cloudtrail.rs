//! CloudTrail's own API, and that of Organizations: public keys and trails.
