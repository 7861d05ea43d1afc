//! SQS: receive, keep in hand, delete, hand back.
