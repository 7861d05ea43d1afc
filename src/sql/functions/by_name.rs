//! Functions that their names tell from all others.

/// The optimizer compares the calls of a query. What two functions compute cannot be compared; their names can.
macro_rules! same_by_name {
    ($function:ty) => {
        impl PartialEq for $function {
            fn eq(&self, other: &Self) -> bool {
                self.name == other.name
            }
        }

        impl Eq for $function {}

        impl std::hash::Hash for $function {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.name.hash(state);
            }
        }
    };
}

pub(in crate::sql::functions) use same_by_name;
