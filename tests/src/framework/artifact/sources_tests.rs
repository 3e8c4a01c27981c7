use super::*;

#[test]
fn deb822_is_read_with_its_keys() {
    let text = "# a comment\nTypes: deb deb-src\nURIs: http://mirror.test/debian\n\
                Suites: trixie trixie-updates\nComponents: main contrib\n\
                Signed-By:\n -----BEGIN PGP-----\n .\n abc\n\n\
                Types: deb\nURIs: http://mirror.test/security\nSuites: trixie-security\n\
                Components: main\n";
    let sources = parse_deb822(text);
    assert_eq!(sources.len(), 2);
    assert!(is_debian(&sources[0]) && !is_debian(&sources[1]));
    assert_eq!(
        stanza(&sources[0], "deb", "trixie trixie-backports"),
        "Types: deb\ncomponents: main\nsigned-by: \n -----BEGIN PGP-----\n .\n abc\n\
         suites: trixie trixie-backports\nuris: http://mirror.test/debian\n"
    );
}

#[test]
fn one_line_sources_are_read_with_their_options() {
    let text = "deb-src http://mirror.test/debian bookworm main\n\
                # deb http://other.test/debian bookworm main\n\
                deb [arch=amd64,i386 signed-by=/keys/debian.gpg] http://mirror.test/debian bookworm main # why\n";
    let sources = parse_one_line(text);
    assert_eq!(sources.iter().map(is_debian).collect::<Vec<_>>(), [false, true]);
    assert_eq!(
        stanza(&sources[1], "deb-src", "trixie"),
        "Types: deb-src\narchitectures: amd64 i386\ncomponents: main\nsigned-by: /keys/debian.gpg\n\
         suites: trixie\nuris: http://mirror.test/debian\n"
    );
}

#[test]
fn what_is_no_debian_source_is_passed_over() {
    assert!(
        !parse_deb822("Types: deb\nURIs: http://x.test\nSuites: noble\nComponents: main\n")
            .iter()
            .any(is_debian)
    );
    let off = "Enabled: no\nTypes: deb\nURIs: http://x.test\nSuites: trixie\nComponents: main\n";
    assert!(!parse_deb822(off).iter().any(is_debian));
    assert!(parse_one_line("deb\n\nrubbish\ndeb [arch=amd64 http://x.test\n").is_empty());
}
