//! Build, test, demo and check the project.

fn main() {}
