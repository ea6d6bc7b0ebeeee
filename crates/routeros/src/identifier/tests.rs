#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn the_names_in_use_are_allowed() {
    for slot in ["raid10", "nvme9-part1", "pvc-3f1a9c4e-0b1d-4c3e-9f2a-7d8e6b5a4c3d", "v1.2_3"] {
        check_slot(slot).unwrap();
    }
    for path in ["/raid10/x.img", "raid10/x.img", "/storage-pool/metal-csi/pvc-1.img", "a"] {
        check_path(path).unwrap();
    }
    check_nqn("nqn.2000-02.com.mikrotik:pvc-1.0123456789abcdef").unwrap();
    check_allow_host_name("").unwrap();
    check_allow_host_name("nqn.2014-08.org.nvmexpress:uuid:1,nqn.b").unwrap();
    check_comment(&"~".repeat(255)).unwrap();
    for id in ["*2B", "*1", "**abc", "*FFFFFFFF"] {
        assert_eq!(id.parse::<ItemId>().unwrap().to_string(), id);
    }
}

#[test]
fn what_could_be_taken_for_something_else_is_refused() {
    for id in ["", "*", "2B", "***1", "*2B/..", "*2B?x", "*G", "* 1", "raid10"] {
        id.parse::<ItemId>().unwrap_err();
    }
    for nqn in ["", "nqn", "uuid:1", "nqn.a b", "nqn.a\"", "nqn.a,nqn.b"] {
        check_nqn(nqn).unwrap_err();
    }
    for list in [",", "nqn.a,", "*", "nqn.a;nqn.b"] {
        check_allow_host_name(list).unwrap_err();
    }
    for comment in ["a\nb", "\u{e9}", "\u{7f}", &"x".repeat(256)] {
        check_comment(comment).unwrap_err();
    }
}

proptest! {
    #[test]
    fn no_allowed_name_holds_a_character_of_urls_or_the_console(text in ".{0,40}|[a-z0-9./ \"$;-]{0,12}") {
        let harmless = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:*,".contains(&b));
        prop_assert!(check_slot(&text).is_err() || (harmless(&text) && !text.contains('/')));
        prop_assert!(check_path(&text).is_err() || (harmless(&text) && !text.contains("..") || text.split('/').all(|s| s != "..")));
        prop_assert!(check_nqn(&text).is_err() || harmless(&text));
        prop_assert!(text.parse::<ItemId>().is_err() || harmless(&text));
    }
}
