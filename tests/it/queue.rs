//! SQS as it is.
