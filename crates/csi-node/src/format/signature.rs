//! What foreign data looks like. For naming in a refusal only: nothing is decided by it.

/// Offset, bytes, name. From the formats' own documents, by the first that matches.
const SIGNATURES: [(usize, &[u8], &str); 19] = [
    (0, b"LUKS\xba\xbe", "a LUKS volume"),
    (0, b"XFSB", "an xfs superblock"),
    (0, b"QFI\xfb", "a qcow2 image"),
    (0, b"hsqs", "a squashfs image"),
    (3, b"NTFS    ", "an NTFS"),
    (3, b"EXFAT   ", "an exFAT"),
    (512, b"EFI PART", "a GPT partition table"),
    (4096, b"EFI PART", "a GPT partition table"),
    (512, b"LABELONE", "an LVM physical volume"),
    (1080, b"\x53\xef", "an ext2, ext3 or ext4 superblock"),
    (1024, b"\x10\x20\xf5\xf2", "an f2fs"),
    (4086, b"SWAPSPACE2", "a swap area"),
    (4086, b"SWAP-SPACE", "a swap area"),
    (4096, b"\xfc\x4e\x2b\xa9", "an md RAID member"),
    (0, b"\xfc\x4e\x2b\xa9", "an md RAID member"),
    (32769, b"CD001", "an ISO 9660 image"),
    (65600, b"_BHRfS_M", "a btrfs"),
    (82, b"FAT32   ", "a FAT32"),
    (510, b"\x55\xaa", "an MBR partition table or a boot sector"),
];

/// What the start of a device, or of a place in it, looks like.
pub(crate) fn of(bytes: &[u8]) -> Option<&'static str> {
    let shows = |(offset, magic, _): &&(usize, &[u8], &'static str)| {
        bytes.get(*offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    SIGNATURES.iter().find(shows).map(|(_, _, name)| *name)
}
