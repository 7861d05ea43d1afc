//! A bundle of evidence can be checked by a third party.
