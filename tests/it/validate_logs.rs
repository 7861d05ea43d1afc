//! The AWS CLI's lines, byte for byte.
