//! Shared libraries of a program.

use std::path::Path;

use crate::{Error, Result, process};

/// The absolute paths of the libraries and the loader that a program needs; none if it is static.
pub(crate) fn of(program: &Path) -> Result<Vec<String>> {
    match process::text("ldd", &[&program.display().to_string()]) {
        Ok(answer) => Ok(paths(&answer)),
        Err(Error::Program { stderr, .. }) if stderr.contains("not a dynamic executable") => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn paths(ldd: &str) -> Vec<String> {
    ldd.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_own_is_not() {
        let answer = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                      \tlibblkid.so.1 => /lib/x86_64-linux-gnu/libblkid.so.1 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(paths(answer), ["/lib/x86_64-linux-gnu/libblkid.so.1", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(paths("\tstatically linked\n"), [""; 0]);
    }
}
