use proptest::prelude::*;

use super::*;

fn map(text: &str) -> XattrMap {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn host(map: &XattrMap, name: &str) -> Result<String, i32> {
    let name = CString::new(name).unwrap();
    match map.to_host(&name) {
        Ok(mapped) => Ok(mapped.to_str().unwrap().to_owned()),
        Err(error) => Err(error.raw_os_error().unwrap()),
    }
}

fn guest(map: &XattrMap, names: &str) -> String {
    String::from_utf8(map.list_to_guest(names.replace(' ', "\0").into_bytes()))
        .unwrap()
        .replace('\0', " ")
}

#[test]
fn without_rules_names_stay_what_they_are() {
    let none = XattrMap::default();
    assert_eq!(host(&none, "user.a"), Ok("user.a".into()));
    assert_eq!(guest(&none, "user.a security.b "), "user.a security.b ");
    assert!(none.foreign_capability().is_none());
}

#[test]
fn map_of_everything_hides_the_rest() {
    for text in [":map::user.virtiofs.:", ":prefix:all::user.virtiofs.::bad:all:::"] {
        let map = map(text);
        assert_eq!(host(&map, "trusted.a"), Ok("user.virtiofs.trusted.a".into()), "{text}");
        assert_eq!(guest(&map, "user.virtiofs.trusted.a user.b "), "trusted.a ", "{text}");
        assert_eq!(map.foreign_capability().as_deref(), Some(c"user.virtiofs.security.capability"));
    }
}

#[test]
fn map_of_some_guards_both_names() {
    let long = "/prefix/all/trusted./user.virtiofs./ \n /bad/server//trusted./
                /bad/client/user.virtiofs.//\t/ok/all///";
    for text in ["/map/trusted./user.virtiofs./", long] {
        let map = map(text);
        assert_eq!(host(&map, "trusted.a"), Ok("user.virtiofs.trusted.a".into()));
        assert_eq!(host(&map, "user.a"), Ok("user.a".into()));
        assert_eq!(host(&map, "user.virtiofs.trusted.a"), Err(libc::EPERM));
        assert_eq!(guest(&map, "user.virtiofs.trusted.a trusted.b user.c "), "trusted.a user.c ");
        assert!(map.foreign_capability().is_none());
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let map =
        map(":unsupported:all:security.selinux:security.selinux::ok:all:security.:security.:\
                   :bad:client:trusted.::");
    assert_eq!(host(&map, "security.selinux"), Err(libc::EOPNOTSUPP));
    assert_eq!(host(&map, "security.other"), Ok("security.other".into()));
    assert_eq!(host(&map, "trusted.a"), Err(libc::EPERM));
    assert_eq!(host(&map, "user.a"), Err(libc::EPERM), "no rule at all");
    assert_eq!(guest(&map, "security.selinux security.a trusted.b "), "security.a ");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for text in [
        "",
        "  ",
        ":",
        ":map:",
        ":map:a:",
        ":map:a:b",
        ":ok:all::",
        ":ok:nobody:::",
        ":okay:all:::",
        "/ok:all:::",
        ":map::a::ok:all:::",
        ":map::a::map::b:",
        "map::a:",
    ] {
        let error = text.parse::<XattrMap>().expect_err(text);
        assert!(!error.contains('\n'), "{error}");
    }
}

proptest! {
    /// What a guest sets under `map`, it sees in lists by the same name.
    #[test]
    fn mapped_names_come_back(key in "[a-z]{0,3}", prepend in "[a-z.]{1,6}", name in "[a-z.]{1,9}") {
        let map = map(&format!(":map:{key}:{prepend}:"));
        let name = CString::new(name).unwrap();
        if let Ok(mapped) = map.to_host(&name) {
            let shown = map.to_guest(mapped.to_bytes());
            // A name that is not mapped may look like one that was.
            if shown.is_some() && name.to_bytes().starts_with(key.as_bytes()) {
                prop_assert_eq!(shown, Some(name.to_bytes()));
            }
        }
    }

    #[test]
    fn any_text_is_rules_or_an_error(text in "[:/ mapokbdsercvlint.]{0,60}") {
        if let Ok(map) = text.parse::<XattrMap>() {
            let _ = map.to_host(c"user.a");
            map.list_to_guest(b"user.a\0a\0".to_vec());
        }
    }
}
