//! A kernel's image without its wrapping: emulated, the unpacking by the guest itself takes over two seconds of
//! each boot.

use crate::{Error, Result, process};

/// Sectors of the real-mode part (Linux, Documentation/arch/x86/boot.rst, as are the others).
const SETUP_SECTORS: usize = 0x1f1;
/// Where the compressed kernel starts, from the end of the real-mode part.
const PAYLOAD_OFFSET: usize = 0x248;
/// How long it is, with four bytes at its end that say the size of what comes out.
const PAYLOAD_LENGTH: usize = 0x24c;

/// What kernels are compressed with: how such a stream begins, and who unpacks it.
const COMPRESSIONS: [(&[u8], &str); 3] = [
    (&[0x02, 0x21, 0x4c, 0x18], "lz4"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, b'7', b'z', b'X'], "xz"),
];

/// The ELF image within a compressed one (`bzImage`), which QEMU starts by its PVH entry.
pub(crate) fn unwrap(image: &[u8]) -> Result<Vec<u8>> {
    let unknown = || Error::Provision("the kernel's image is wrapped in an unknown way".into());
    let payload = payload(image).ok_or_else(unknown)?;
    let (_, program) =
        COMPRESSIONS.iter().find(|(start, _)| payload.starts_with(start)).ok_or_else(unknown)?;
    let elf = process::filter(program, &["-dc"], payload)?;
    if elf.starts_with(b"\x7fELF") { Ok(elf) } else { Err(unknown()) }
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let field = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let setup = (usize::from(*image.get(SETUP_SECTORS)?) + 1) * 512;
    let start = setup + field(PAYLOAD_OFFSET)?;
    let length = field(PAYLOAD_LENGTH)?.checked_sub(4)?;
    image.get(start..start.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::payload;

    #[test]
    fn the_payload_is_where_the_boot_protocol_says_and_anything_else_is_none() {
        let mut image = vec![0; 4096];
        image[0x1f1] = 1;
        image[0x248] = 16;
        image[0x24c] = 4 + 3;
        image[1024 + 16..][..3].copy_from_slice(b"elf");
        assert_eq!(payload(&image), Some(&b"elf"[..]));
        for length in [0, 0x1f2, 0x24e, 1024 + 18] {
            assert_eq!(payload(&image[..length]), None, "{length} bytes");
        }
        assert_eq!(payload(&[0xff; 4096]), None);
    }
}
