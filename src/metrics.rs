//! What the daemon counts, and the page where Prometheus reads it.
