//! Guests on real kernels: what the crate promises to the tests that use it.
#![allow(clippy::unwrap_used, reason = "tests")]

use microvm::{Kernel, Lab};

#[test]
fn exit_status_and_output_come_back() {
    for kernel in Kernel::ALL {
        let lab = Lab::new(kernel).unwrap();
        let guest = lab.guest("one").boot().unwrap();
        let output = guest.run("echo out; echo err >&2; exit 7").unwrap();
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(output.stdout_text(), "out\n");
        assert_eq!(output.stderr_text(), "err\n");
        assert!(guest.sh("uname -r").unwrap().starts_with(&format!("{kernel}.")), "{kernel}");
    }
}
