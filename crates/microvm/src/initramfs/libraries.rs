//! Shared libraries of a program.

use std::path::Path;

use crate::{Error, Result, process};

/// The absolute paths of the libraries and loaders that programs need; none if they are static.
pub(crate) fn of(programs: &[&Path]) -> Result<Vec<String>> {
    let names: Vec<String> = programs.iter().map(|program| program.display().to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match process::text("ldd", &names) {
        Ok(answer) => Ok(paths(&answer)),
        Err(Error::Program { stderr, .. }) if stderr.contains("not a dynamic executable") => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Of each line the path, if it has one; the lines that name a program end in a colon.
fn paths(ldd: &str) -> Vec<String> {
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    ldd.lines().filter(|line| !line.ends_with(':')).filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_own_is_not() {
        let answer = "/sbin/mke2fs:\n\
                      \tlinux-vdso.so.1 (0x00007ffc)\n\
                      \tlibblkid.so.1 => /lib/x86_64-linux-gnu/libblkid.so.1 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(paths(answer), ["/lib/x86_64-linux-gnu/libblkid.so.1", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(paths("\tstatically linked\n"), [""; 0]);
    }
}
