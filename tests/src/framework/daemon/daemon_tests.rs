use super::*;

fn spec(program: Program) -> Spec {
    Spec {
        program,
        share: "/srv/a b".into(),
        tag: "share".into(),
        cache: Some("auto".into()),
        arguments: vec!["--xattr".into()],
        table: None,
        environment: vec![],
        user: None,
        echo: false,
    }
}

fn line(spec: &Spec, words: &[&str]) -> Vec<OsString> {
    arguments(spec, words.iter().map(OsString::from).collect(), Path::new("/tmp/s"))
}

#[test]
fn the_socket_and_the_share_are_added() {
    let other = spec(Program::Other(vec![]));
    let expected =
        ["d", "--socket-path", "/tmp/s", "--shared-dir", "/srv/a b", "--cache", "auto", "--xattr"];
    assert_eq!(line(&other, &["d"]), expected);
    let ours = Spec { table: Some(Table::named("/tmp/t")), ..spec(Program::Samepaged) };
    let words = line(&ours, &["d"]);
    for (option, value) in
        [("--tag", "share"), ("--stats-socket", "/tmp/s.stats"), ("--version-table", "/tmp/t")]
    {
        assert!(words.windows(2).any(|pair| pair == [option, value]), "{words:?}");
    }
    let without = line(&spec(Program::Samepaged), &["d"]);
    assert!(without.windows(2).any(|pair| pair == ["--version-table", "off"]), "{without:?}");
}

#[test]
fn a_program_with_marks_gets_them_filled_in() {
    let other = Spec { cache: None, arguments: vec![], ..spec(Program::Other(vec![])) };
    let words = line(&other, &["d", "--sock={socket}", "{share}:ro"]);
    assert_eq!(words, ["d", "--sock=/tmp/s", "/srv/a b:ro"]);
}

#[test]
fn a_command_line_is_split_like_a_shell_does() {
    let parse = |text: &str| Program::parse(OsStr::new(text));
    assert_eq!(parse("virtiofsd").unwrap(), Program::Virtiofsd);
    assert_eq!(parse("samepaged").unwrap(), Program::Samepaged);
    let words = ["/opt/a b/d", "--x", "y z"].map(OsString::from).to_vec();
    assert_eq!(parse("'/opt/a b/d' --x \"y z\"").unwrap(), Program::Other(words));
    assert!(parse("").is_err() && parse("'open").is_err());
}

#[test]
fn only_a_listening_socket_counts() {
    let table = b"Num RefCount Protocol Flags Type St Inode Path\n\
                  00: 00000002 00000000 00010000 0001 01 15 /tmp/s\n\
                  00: 00000002 00000000 00000000 0001 03 16 /tmp/t\n";
    assert!(listens(table, b"/tmp/s"));
    assert!(!listens(table, b"/tmp/t") && !listens(table, b"/tmp/u"));
}
