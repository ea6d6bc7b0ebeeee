//! The vocabulary: volume ids, slots, NQNs, sizes, records, parameters and contexts; parsing and printing only.
