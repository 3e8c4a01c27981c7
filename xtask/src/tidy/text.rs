//! What must not be written down: this machine.

use super::File;

/// Pieces of paths and hosts of somebody's machine. Written in two halves, so that this file does
/// not accuse itself.
const MACHINES: &[(&str, &str)] = &[
    ("/ho", "me/"),
    ("/Us", "ers/"),
    ("/wo", "rk/"),
    ("/ro", "ot/."),
    ("deb.debian", ".org"),
    ("ftp.debian", ".org"),
    ("security.debian", ".org"),
    ("snapshot.debian", ".org"),
    ("archive.ubuntu", ".com"),
];

pub(super) fn check(files: &[File], mirrors: &[String]) -> Vec<String> {
    let fixed = MACHINES.iter().map(|(a, b)| format!("{a}{b}"));
    let forbidden: Vec<String> = fixed.chain(mirrors.iter().cloned()).collect();
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            for piece in forbidden.iter().filter(|piece| line.contains(piece.as_str())) {
                complaints.push(format!("{}:{}: names a machine: {piece}", file.path, number + 1));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_mirrors_of_a_machine_are_found() {
        let file = |text: &str| File { path: "docs/x.md".into(), text: text.into() };
        let home = ["/ho", "me/me/x"].concat();
        let mirrors = ["mirror.example".to_owned()];
        assert_eq!(check(&[file(&home)], &[]).len(), 1);
        assert_eq!(check(&[file("http://mirror.example/debian")], &mirrors).len(), 1);
        assert!(check(&[file("/srv/data and /mnt")], &mirrors).is_empty());
    }
}
